"""One failover under load, and what it came to."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from tests.ha.business import Company
from tests.ha.colours import SHOPS, Colour, Shop
from tests.ha.outage import Outage, waited
from tests.ha.pairs import DEADLINE, Pair, Pairs
from tieout.contracts import Row
from tieout.errors import DatabaseError, DatabaseUnavailable, StaleEpoch

Fault = Literal["kill", "thaw", "lag"]
"""The primary is killed; or frozen, and thawed after the other took over; or killed while the other lags behind."""


class Plan(NamedTuple):
    """What is to happen: the fault, in which colour clients meet it, and how late the replica is promoted."""

    fault: Fault
    colour: Colour
    hesitation: float = 0.0


CLIENTS = 6
PATIENCE = 60.0
"""Longest seconds that a round may take to get going again or to come to an end."""

BEFORE = 5
AFTER = 10
"""Requests of each client that are accepted before the fault, and after it, at least."""

LOST = 3
"""Requests of each client that are accepted, at least, while the replica gets nothing of it any more."""

PROBES = 10
"""Times that the thawed primary is tried, by reads and by writes."""


@dataclass
class Round:
    """What happened: when requests were accepted, for each client; what is wrong; counts; how long clients waited."""

    accepted: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    outage: Outage | None = None

    def since(self, moment: float) -> Counter[str]:
        """How many requests of each client were accepted after a moment."""
        return Counter(_client_of(request) for request, at in self.accepted.items() if at > moment)


def fail_over(pairs: Pairs, plan: Plan) -> Round:
    """Make a pair, let clients redeem, take the primary away, and audit both sides.

    It happens in a child: a process that has seen a successor refuses the copies of the primary that went before it.
    """
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    child = fork.Process(target=_in_child, args=(pairs, plan, there))
    child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return Round(violations=["the process of this failover died"])
    finally:
        child.join()


def _in_child(pairs: Pairs, plan: Plan, there: Any) -> None:
    try:
        done = asyncio.run(_with_pair(pairs, plan))
    except Exception as error:  # noqa: BLE001 - whoever waits for it must be told
        traceback.print_exc(file=sys.stderr)
        done = Round(violations=[f"it did not come to an end: {error!r}"])
    there.send(done)


async def _with_pair(pairs: Pairs, plan: Plan) -> Round:
    pair = await asyncio.to_thread(pairs.make)
    try:
        return await _round(pair, plan)
    finally:
        await asyncio.to_thread(pair.remove)


async def _round(pair: Pair, plan: Plan) -> Round:
    done, company = Round(), Company()
    async with _opened(plan.colour, pair, company) as shop:
        stop = asyncio.Event()
        clients = [asyncio.create_task(_client(shop, name, done, stop)) for name in "abcdef"[:CLIENTS]]
        await _all_accepted(done, BEFORE, 0.0, "clients get going")
        if plan.fault == "lag":
            await asyncio.to_thread(pair.cut_off)
            await _all_accepted(done, LOST, time.monotonic(), "clients go on without the replica")
        struck = time.monotonic()
        await asyncio.to_thread(pair.old.freeze if plan.fault == "thaw" else pair.old.kill)
        await asyncio.sleep(plan.hesitation)
        await asyncio.to_thread(pair.promote)
        promoted = time.monotonic()
        await _all_accepted(done, AFTER, promoted, "requests are accepted again")
        stop.set()
        await asyncio.gather(*clients)
        done.outage = _outage(done, plan.fault, struck, promoted)
        if plan.fault == "lag":
            await _reported(shop, company, done)
        await _ended(shop, len(done.accepted))
        await _audit(shop, company, done)
        if plan.fault == "thaw":
            await _thawed(shop, pair, done)
    done.counts |= {"failovers": 1, f"{plan.fault} of the primary": 1, "accepted": len(done.accepted)}
    done.counts[f"failovers {'on an event loop' if plan.colour == 'loop' else 'in threads'}"] += 1
    done.counts["late promotions"] += plan.hesitation > 0
    return done


@asynccontextmanager
async def _opened(colour: Colour, pair: Pair, company: Company) -> AsyncIterator[Shop]:
    """An open App: a busy machine may need longer for it than the URL allows, which is for failovers."""
    ends = time.monotonic() + PATIENCE
    while True:
        shop = SHOPS[colour](pair.url, company)
        try:
            await shop.__aenter__()
            break
        except DatabaseError:
            if time.monotonic() > ends:
                raise
    try:
        yield shop
    finally:
        await shop.__aexit__()


async def _client(shop: Shop, name: str, done: Round, stop: asyncio.Event) -> None:
    """Ask as clients do: the same request again until it is accepted."""
    number = 0
    while not stop.is_set():
        number += 1
        request = f"{name}-{number}"
        while True:
            try:
                await shop.redeem(request)
            except DatabaseError as error:
                done.counts[f"told {error.code}"] += 1
                await asyncio.sleep(0.02)
            else:
                done.accepted[request] = time.monotonic()
                break


def _client_of(request: str) -> str:
    return request.partition("-")[0]


async def _all_accepted(done: Round, count: int, moment: float, what: str) -> None:
    await _until(lambda: sum(n >= count for n in done.since(moment).values()) == CLIENTS, what)


def _outage(done: Round, fault: Fault, struck: float, promoted: float) -> Outage:
    moments: dict[str, list[float]] = defaultdict(list)
    for request, moment in done.accepted.items():
        moments[_client_of(request)].append(moment)
    detection = max(promoted - struck, DEADLINE if fault == "thaw" else 0.0)
    return Outage(detection, tuple(waited(struck, sorted(each)) for each in moments.values()))


async def _reported(shop: Shop, company: Company, done: Round) -> None:
    """What was accepted and is gone is what an alarm names; then clients repeat it."""
    there = {row["request"] for row in await _fetched(shop, "SELECT request FROM taken WHERE what = 'deducted'")}
    lost = done.accepted.keys() - there
    evidence = await _alarmed(shop, "possible-loss")
    told = {one["key"] for piece in evidence for one in piece["lost"]}
    done.violations += [f"{request} was lost, and no alarm says so" for request in sorted(lost - told)]
    done.violations += [f"{request} is there, and an alarm says that it was lost" for request in sorted(told - lost)]
    missing = {company.issued[key] for key in await shop.missing(list(company.issued))}
    if missing != lost & set(company.issued.values()):
        done.violations.append(f"{missing} are missing by the company's list, and {lost} were lost")
    done.counts["issued, lost and found by the company's list"] += len(missing)
    done.counts["accepted, lost and not reported"] += len(lost - told)
    done.counts["accepted, lost and reported"] += len(lost & told)
    for request in sorted(lost):
        await shop.redeem(request)


async def _alarmed(shop: Shop, kind: str) -> list[Any]:
    """What alarms of a kind rest on, once there are some; nothing where none comes."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if evidence := await shop.evidence(kind):
            return evidence
        await asyncio.sleep(0.2)
    return []


async def _ended(shop: Shop, count: int) -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:  # the audit names those that did not end
        rows = await _fetched(shop, "SELECT count(*) AS n FROM taken WHERE what = 'completed'")
        if rows[0]["n"] >= count:
            return
        await asyncio.sleep(0.1)


async def _audit(shop: Shop, company: Company, done: Round) -> None:
    """Each accepted request has been deducted, issued and completed once, and nothing else has."""
    taken = Counter((row["request"], row["what"]) for row in await _fetched(shop, "SELECT request, what FROM taken"))
    issued = Counter(company.issued.values())
    for request in sorted(done.accepted):
        found = (taken[request, "deducted"], issued[request], taken[request, "completed"])
        if found != (1, 1, 1):
            done.violations.append(f"{request} was deducted, issued, completed {found} times")
            done.counts["lost" if 0 in found else "double"] += 1
    for request in {name for name, _ in taken} | set(issued):
        if request not in done.accepted:
            done.violations.append(f"{request} has effects and was not accepted")
    rows = await _fetched(shop, "SELECT points FROM account")
    if [-row["points"] for row in rows] != [len(done.accepted)]:
        done.violations.append(f"{[row['points'] for row in rows]} points for {len(done.accepted)} requests")


async def _fetched(shop: Shop, sql: str) -> Sequence[Row]:
    """The rows, asked for again where a busy machine took longer than the URL allows."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return await shop.fetch(sql)
        except DatabaseUnavailable:
            if time.monotonic() > ends:
                raise


async def _thawed(shop: Shop, pair: Pair, done: Round) -> None:
    """With the old primary back and the new one gone, neither a read nor a write is accepted."""
    await asyncio.to_thread(pair.new.freeze)
    await asyncio.to_thread(pair.old.thaw)
    await _until(pair.old.answers, "the old primary answers")
    attempts = {
        "read": partial(shop.fetch, "SELECT points FROM account"),
        "write": partial(shop.execute, "UPDATE account SET points = points + 1"),
    }
    for _ in range(PROBES):
        for what, attempt in attempts.items():
            try:
                await attempt()
            except StaleEpoch:
                done.counts[f"{what}s refused as stale"] += 1
            except DatabaseError:
                done.counts[f"{what}s that failed otherwise"] += 1
            else:
                done.violations.append(f"the old primary accepted a {what}")
                done.counts[f"{what}s accepted after a thaw"] += 1
        if done.counts["reads refused as stale"] and done.counts["writes refused as stale"]:
            break
    done.counts["thaws"] += 1
    await asyncio.to_thread(pair.new.thaw)


async def _until(holds: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"never: {what}")
        await asyncio.sleep(0.02)
