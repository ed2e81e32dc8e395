"""The process that plants: `python -m tests.conflicts.planter URL PLAN`, one line for each moment on standard input.

It has an App of its own on the database, and answers each line when everything of that moment has been said.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterable
from pathlib import Path

import msgspec

from tests.conflicts.plan import REPORTED, Case, Way
from tests.conflicts.shop import Claim, Redeem, Script
from tieout import App, UnknownCall
from tieout.process.operating import Act

AT_ONCE = 100
ANN = Act("ann", "asked on the telephone")


class Planter:
    """Says what a plan says, at the moments of the plan."""

    def __init__(self, url: str, cases: list[Case]) -> None:
        self.script = Script({})
        self.app = App(url, deps=self.script, sweep=False)
        self.app.register(Redeem)
        self.cases = cases

    async def at(self, moment: str) -> None:
        """Say everything that belongs to a moment; "first" are the first claims that nobody has asked for."""
        if moment == "before the start":
            await side_by_side(self.too_early(case) for case in self.cases if case.moment == moment)
        elif moment == "first":
            await side_by_side(self.first(case) for case in self.cases if case.first_way in REPORTED)
        else:
            # What came too early is said again once somebody may listen.
            moments = ("before the start", moment) if moment == "after the final" else (moment,)
            await side_by_side(self.second(case) for case in self.cases if case.moment in moments)

    async def too_early(self, case: Case) -> None:
        if case.second is None:
            return
        try:
            await self.app.report(call_key(case), case.second.outcome, source=case.second_way)
        except UnknownCall:
            return
        raise AssertionError(f"{case.key} was known before it was started")

    async def first(self, case: Case) -> None:
        first = self.say(case, case.first_way, case.first)
        if case.moment == "while open":
            await asyncio.gather(first, self.second(case))
        else:
            await first

    async def second(self, case: Case) -> None:
        if case.second is not None:
            await self.say(case, case.second_way, case.second)

    async def say(self, case: Case, way: Way, claim: Claim) -> None:
        if way == "operator":
            self.script.first[case.key] = ("operator", claim)
            await self.app.operate.query(bytes.fromhex(call_key(case).partition(":")[0]), ANN)
        else:
            await self.app.report(call_key(case), claim.outcome, source=way)


def call_key(case: Case) -> str:
    """The key of the only call of a case's process."""
    return f"{Redeem(request_id=case.key).id}:1"


async def side_by_side(work: Iterable[Awaitable[None]]) -> None:
    """Do all of it, some at a time."""
    left = iter(work)

    async def some() -> None:
        for one in left:
            await one

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def main(planter: Planter) -> None:
    """Answer each line."""
    async with planter.app:
        while line := await asyncio.to_thread(sys.stdin.readline):
            await planter.at(line.strip())
            print("done", flush=True)


if __name__ == "__main__":
    _, url, plan = sys.argv
    asyncio.run(main(Planter(url, msgspec.json.decode(Path(plan).read_bytes(), type=list[Case]))))
