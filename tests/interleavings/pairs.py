"""The pairs of use cases that meet at one process, and what each may come to."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any

from tests.interleavings.arena import Act, Seen
from tests.interleavings.laws import Pair
from tests.interleavings.trade import FEE, Desk, Prize, Trade
from tieout import App, ApprovalNeeded, Failed, NotAllowed, ParamsChanged, Succeeded
from tieout.process.operating import Act as Signature
from tieout.process.operating import Choice

A1 = Succeeded(Prize("A1"))
A2 = Succeeded(Prize("A2"))
NOT_SENT = Succeeded(Prize("A1", "cup"))
SOLD_OUT = Failed("sold-out")
REQUEST = Trade(number="t1")
ID: bytes = REQUEST.__dict__["identity"].id
KEY = f"{ID.hex()}:1"
ANN = Signature("ann", "the customer asked")


def start(**params: Any) -> Act:
    async def act(app: App) -> Any:
        return await app.engine.start(Trade(number="t1", **params))

    return act


def report(outcome: Any) -> Act:
    async def act(app: App) -> Any:
        return (await app.engine.report(KEY, outcome, "push")).effect

    return act


async def sweep(app: App) -> Any:
    """One round of a worker: claim what is due, and look after it."""
    claimed = await app.engine.claiming.claim(100, lambda _: 100)
    for record in claimed:
        await app.engine.driving.take_over(record)
    return [record.id for record in claimed]


async def take_over(app: App) -> Any:
    """What a worker does with a process that it has claimed."""
    record = await app.engine.read(ID)
    if record.status == "running":
        await app.engine.driving.take_over(record)


async def cancel(app: App) -> Any:
    return await app.operate.cancel(ID, ANN)


async def hold(app: App) -> Any:
    return await app.operate.hold(ID, ANN)


def settle(choice: Choice, value: Any = None) -> Act:
    async def act(app: App) -> Any:
        return await app.operate.settle(ID, 1, choice, ANN, value)

    return act


async def retire(app: App) -> Any:
    return await app.retention.retire(-1)


async def nothing(app: App) -> None:
    """There is no process yet."""


async def standing(app: App) -> None:
    """A process that waits for its call, and is not due."""
    await app.engine.start(REQUEST)


async def due(app: App) -> None:
    """One that nobody looks after, for the sweep to take over."""
    await standing(app)
    await app.database.transact(lambda tx: tx.execute("UPDATE tieout_process SET due = created"))


async def held(app: App) -> None:
    await standing(app)
    await hold(app)


async def final(app: App) -> None:
    await standing(app)
    await report(A1)(app)


def one_started(seen: Seen) -> Iterator[str]:
    """One of the two started it, and the other was told that it was there."""
    replayed = sorted(outcome.replayed for outcome in seen.outcomes if not isinstance(outcome, BaseException))
    if replayed not in ([False, True], [False]):
        yield f"replayed: {replayed}"


def one_claimed(seen: Seen) -> Iterator[str]:
    """One of the two took it over."""
    if sorted(map(len, seen.outcomes)) != [0, 1] or seen.desk.asked != 1:
        yield f"claimed: {seen.outcomes}, asked {seen.desk.asked} times"


def sent_once(seen: Seen) -> Iterator[str]:
    """What the downstream had never heard of was sent again, once at most."""
    if seen.desk.sent > 1:
        yield f"sent {seen.desk.sent} times"


def asked(seen: Seen) -> int:
    return seen.desk.asked


def once(_: Seen) -> int:
    return 1


def first_wins(before: int, behind: int, other: int) -> int:
    """In how many orders a transaction is the first to write the common row.

    It has `before` statements before that write and `behind` after it, COMMIT included; the other one has `other`
    before its own write, of which the first is a read. When the other's write comes before the COMMIT, it waits for
    it; what is left then is done by one alone. When it comes after, its read may have come before or after.
    """
    waits = sum(comb(before + gap + other, other) for gap in range(1, behind + 1))
    return waits + comb(before + behind + 1 + other, other)


STARTS = 2 * first_wins(1, 1, 1)
"""A note, the insert, COMMIT."""

REPORTS = 2 * first_wins(2, 1, 2)
"""A read, a note, the update, COMMIT."""

CLAIMS = 2 * (5 * 1 + 4 * 2 + 3 * 2 + 2 * 2 + 1 * 3)
"""Behind the first claim four things are left to whoever made it, and the other's claim may come before or after each.

The last factor is where the other's read may stand: before the first COMMIT, behind it, behind the second one.
"""

PAIRS = [
    Pair("start/start", start(), start(), STARTS, nothing, law=one_started),
    # The account's row is the first that both write, and holds enough for one of them only.
    Pair(
        "start/start on one account", start(fee=FEE), start(fee=FEE), 2 * first_wins(0, 3, 0), nothing, law=one_started
    ),
    Pair(
        "start/start with other params",
        start(),
        start(size=2),
        STARTS,
        nothing,
        errors=(ParamsChanged,),
        law=one_started,
    ),
    Pair("report/report", report(A1), report(A1), REPORTS, standing),
    Pair("report/other report", report(A1), report(SOLD_OUT), REPORTS, standing, conflicts=once),
    Pair("report/report of another prize", report(A1), report(A2), REPORTS, standing, conflicts=once),
    Pair(
        "report/report of what was not sent",
        report(A1),
        report(NOT_SENT),
        # Behind its read, the second one raises an alarm with two pieces of evidence.
        first_wins(2, 1, 4) + first_wins(4, 1, 2),
        standing,
        conflicts=once,
    ),
    # Of some 900 orders each of the sweep and the second send, so many can be told apart.
    Pair("report/sweep", report(A1), sweep, 240, due, lambda: Desk(A1), reads_apart=True),
    Pair(
        "report/take-over that is told otherwise",
        report(A1),
        take_over,
        REPORTS,
        standing,
        lambda: Desk(SOLD_OUT),
        asked,
    ),
    Pair("report/second send", report(A1), take_over, 219, standing, law=sent_once, reads_apart=True),
    Pair("sweep/sweep", sweep, sweep, CLAIMS, due, lambda: Desk(A1), law=one_claimed, reads_apart=True),
    # A read, the update, the audit's row, COMMIT.
    Pair(
        "cancel/report", cancel, report(A1), first_wins(1, 2, 2) + first_wins(2, 1, 1), standing, errors=(NotAllowed,)
    ),
    Pair("hold/report", hold, report(A1), first_wins(1, 2, 2) + first_wins(2, 1, 1), standing, errors=(NotAllowed,)),
    # Two reads of the process and one of the alarm come before the update.
    Pair(
        "settle/report",
        settle("succeeded", {"code": "A1", "sku": "mug"}),
        report(A1),
        first_wins(3, 2, 1) + first_wins(1, 1, 3),
        held,
    ),
    Pair(
        "settle/other report",
        settle("succeeded", {"code": "A1", "sku": "mug"}),
        report(SOLD_OUT),
        first_wins(3, 2, 1) + first_wins(1, 1, 3),
        held,
        conflicts=once,
        errors=(ApprovalNeeded,),
    ),
    # A read, the update, one statement more, COMMIT; the report counts a duplicate.
    Pair("retire/report", retire, report(A1), first_wins(1, 2, 1) + first_wins(1, 1, 1), final),
    # The alarm touches another row: nobody waits for anybody.
    Pair("retire/other report", retire, report(SOLD_OUT), comb(9, 4), final, conflicts=once),
]
