"""Which loads are recorded and where the power is cut, by seed; and the wrong engines that must be found out."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from random import Random

from tests.disk.cuts import EARLIER, REACHED, Plan, Tally, run
from tests.disk.workload import Load
from tieout.database.migrate import migrations

BEFORE = ("nothing", "nothing", "fault", "cut")
"""What has happened to the machine before the load, in turn."""

PAGES = (1_000, 40)
"""How long the log grows before it is emptied: SQLite's default, and so short that it is always being emptied."""

CUTS = 250
"""Cuts during one recorded load."""

REQUESTS = 120
"""Requests of one load."""

AMID_THE_LOAD = range(3, 7)
"""Flushes of the load before one fails, in turn; each migration is a flush before these."""

WRONG = {
    "off": "does not flush at all",
    "normal": "does not flush a commit",
    "trusting": "goes on with a log whose last flush failed",
}
"""Engines that lose something, by name; a proof that does not notice is too kind."""


def plan(seed: int, cuts: int = CUTS, requests: int = REQUESTS) -> Plan:
    """What is done with one seed."""
    pages = PAGES[seed // len(BEFORE) % len(PAGES)]
    return Plan(
        seed,
        cuts,
        Load(f"s{seed}", requests, pages=pages),
        BEFORE[seed % len(BEFORE)],
        failing(Random(seed).randint(5, 45)),
    )


def failing(flush: int) -> str:
    """Let this flush of a thread fail, and every seventh from then on; those between succeed."""
    return f"fdatasync:error=EIO:when={flush}+7"


async def found_out(engine: str, cuts: int, requests: int = REQUESTS) -> int:
    """How often a wrong engine breaks its word under one of some loads; 0 when it is not found out.

    What it cannot stand may be a failed flush. Whether what that left behind is needed depends on what was under way.
    """
    before, set_up = "fault" if engine == "trusting" else "nothing", len(migrations("sqlite"))
    for number, flush in enumerate(AMID_THE_LOAD):
        tally = await run(Plan(number, cuts, Load(engine, requests, engine), before, failing(set_up + flush)))
        if tally.violations:
            return len(tally.violations)
    return 0


def come_to(one: Plan) -> Tally:
    """Carry out one plan here."""
    return asyncio.run(run(one))


def shared_out(plans: list[Plan], jobs: int) -> Iterator[Tally]:
    """Carry out the plans, so many at a time; what each came to, in any order."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(come_to, plans)


def never(tally: Tally, *, whole: bool) -> list[str]:
    """What was never met; a `whole` proof has to meet more than a short one."""
    return [name for name in (*REACHED, *(EARLIER if whole else ())) if not tally.counts[name]]
