"""One failover under load, and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from tests.ha.business import TABLES, Company, Redeem
from tests.ha.pairs import PAIRS, Pair
from tieout import App
from tieout.errors import DatabaseError, StaleEpoch

Fault = Literal["kill", "thaw"]
"""The primary is killed; or frozen, and thawed after the other has taken over."""

CLIENTS = 6
PATIENCE = 60.0
"""Longest seconds that a round may take to get going again or to come to an end."""

PROBES = 10
"""Times that the thawed primary is tried, by reads and by writes."""


@dataclass
class Round:
    """What happened: requests that were accepted, what is wrong, counts, and seconds from promotion to acceptance."""

    accepted: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unavailable: float = 0.0


async def fail_over(dialect: str, fault: Fault) -> Round:
    """Make a pair, let clients redeem, take the primary away, and audit both sides."""
    pair = await asyncio.to_thread(PAIRS[dialect])
    try:
        return await _round(pair, fault)
    finally:
        await asyncio.to_thread(pair.remove)


async def _round(pair: Pair, fault: Fault) -> Round:
    done, company = Round(), Company()
    await _tables(pair.url)
    app = App(pair.url, deps=company)
    app.register(Redeem)
    async with app:
        running = asyncio.Event()
        clients = [asyncio.create_task(_client(app, name, done, running)) for name in range(CLIENTS)]
        await _until(lambda: len(done.accepted) > 30, "clients get going")
        await asyncio.to_thread(pair.old.kill if fault == "kill" else pair.old.freeze)
        await asyncio.to_thread(pair.promote)
        promoted, before = time.monotonic(), len(done.accepted)
        await _until(lambda: len(done.accepted) > before + CLIENTS, "requests are accepted again")
        done.unavailable = time.monotonic() - promoted
        await _until(lambda: len(done.accepted) > before + 30, "clients go on")
        running.set()
        await asyncio.gather(*clients)
        await _ended(app, len(done.accepted))
        await _audit(app, company, done)
        if fault == "thaw":
            await _thawed(app, pair, done)
    done.counts |= {"failovers": 1, f"{fault} of the primary": 1, "accepted": len(done.accepted)}
    return done


async def _tables(url: str) -> None:
    app = App(url)
    await app.migrate()
    for table in TABLES:
        await app.database.transact(lambda tx, sql=table: tx.execute(sql))
    await app.database.close()


async def _client(app: App, name: int, done: Round, stop: asyncio.Event) -> None:
    """Ask as clients do: the same request again until it is accepted."""
    number = 0
    while not stop.is_set():
        number += 1
        request = f"{name}-{number}"
        while True:
            try:
                await app.start(Redeem(request_id=request))
            except DatabaseError as error:
                done.counts[f"told {error.code}"] += 1
                await asyncio.sleep(0.02)
            else:
                done.accepted.add(request)
                break


async def _ended(app: App, count: int) -> None:
    sql = "SELECT count(*) AS n FROM taken WHERE what = 'completed'"
    ends = time.monotonic() + PATIENCE
    while True:
        row = await app.database.read(lambda tx: tx.fetch_one(sql))
        if row is not None and row["n"] >= count:
            return
        if time.monotonic() > ends:
            return  # the audit names those that did not end
        await asyncio.sleep(0.1)


async def _audit(app: App, company: Company, done: Round) -> None:
    """Each accepted request has been deducted, issued and completed once, and nothing else has."""
    rows = await app.database.read(lambda tx: tx.fetch("SELECT request, what FROM taken"))
    taken = Counter((row["request"], row["what"]) for row in rows)
    issued = Counter(company.issued.values())
    for request in sorted(done.accepted):
        found = (taken[request, "deducted"], issued[request], taken[request, "completed"])
        if found != (1, 1, 1):
            done.violations.append(f"{request} was deducted, issued, completed {found} times")
    for request in {name for name, _ in taken} | set(issued):
        if request not in done.accepted:
            done.violations.append(f"{request} has effects and was not accepted")
    row = await app.database.read(lambda tx: tx.fetch_one("SELECT points FROM account"))
    if row is None or -row["points"] != len(done.accepted):
        done.violations.append(f"{row and row['points']} points for {len(done.accepted)} requests")


async def _thawed(app: App, pair: Pair, done: Round) -> None:
    """With the old primary back and the new one gone, neither a read nor a write is accepted."""
    await asyncio.to_thread(pair.new.freeze)
    await asyncio.to_thread(pair.old.thaw)
    await _until(pair.old.answers, "the old primary answers")
    for _ in range(PROBES):
        for what, attempt in (("read", app.database.read), ("write", app.database.transact)):
            try:
                await attempt(lambda tx: tx.fetch("SELECT points FROM account"))
            except StaleEpoch:
                done.counts[f"{what}s refused as stale"] += 1
            except DatabaseError:
                done.counts[f"{what}s that failed otherwise"] += 1
            else:
                done.violations.append(f"the old primary accepted a {what}")
        if done.counts["reads refused as stale"] and done.counts["writes refused as stale"]:
            break
    done.counts["thaws"] += 1
    await asyncio.to_thread(pair.new.thaw)


async def _until(holds, what: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"never: {what}")
        await asyncio.sleep(0.02)
