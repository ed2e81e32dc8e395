"""Keys that do not plainly agree: both sources are asked for them as they are now, and the judge decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from tieout.recon.columns import Columns, Key
from tieout.recon.comparing import Comparison
from tieout.recon.define import Rule
from tieout.recon.facts import SIDES
from tieout.recon.periods import Period
from tieout.recon.settling import Settled, Settling
from tieout.recon.sources import Both, Opened
from tieout.recon.store import WrittenBreak

T = TypeVar("T")


class Doubts:
    """Settles keys, many at a time; what became of them is tallied."""

    def __init__(self, rule: Rule, period: Period, both: Both, comparison: Comparison, tally: Counter[str]) -> None:
        self._both, self._comparison, self._tally = both, comparison, tally
        self._settling = Settling(rule, both.judged, period)
        self.asked = 0

    async def settle(self, keys: Sequence[Key]) -> list[WrittenBreak]:
        """The breaks among these keys; all are tallied."""
        one, other = self._both.sides
        upstream, downstream = await together(self._found(one, keys), self._found(other, keys))
        self.asked += len(keys)
        settled = self._settling.settle(keys, upstream, downstream)
        self._tally += settled.tally
        return self._settling.written(settled, await self._causes(settled))

    async def _found(self, side: Opened, keys: Sequence[Key]) -> Columns:
        if side.probes:
            return await side.reading.found(side.rows, keys)
        return await asyncio.to_thread(self._comparison.found, side.reading.name, keys)

    async def _causes(self, settled: Settled) -> Mapping[Key, Sequence[str]]:
        """What may have caused that a key is not there, as far as its side can tell."""
        causes: dict[Key, list[str]] = {}
        ours, theirs = self._both.sides
        lacking = settled.lacking
        states = await together(self._states(ours, lacking["upstream"]), self._states(theirs, lacking["downstream"]))
        for name, found in zip(SIDES, states, strict=True):
            for key, state in found.items():
                causes.setdefault(key, []).append(f"{name} has it, with {state}")
            for key, other in (await asyncio.to_thread(self._comparison.similar, name, lacking[name])).items():
                causes.setdefault(key, []).append(f"{name} has {'/'.join(other)}, which is written differently")
        return causes

    async def _states(self, side: Opened, keys: Sequence[Key]) -> dict[Key, str]:
        return await side.reading.states(side.rows, keys) if side.probes else {}


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """All at a time; what fails first is raised once the others were stopped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
