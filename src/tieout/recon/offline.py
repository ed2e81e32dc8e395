"""One rule over one period: both sides read from snapshots, compared, and every doubt put to the sources again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.errors import DatabaseError, DefinitionError, NotAllowed, TieoutError
from tieout.identity import digest
from tieout.recon.comparing import Comparison
from tieout.recon.define import Rule
from tieout.recon.doubts import Doubts, together
from tieout.recon.evidence import told_unkeyed
from tieout.recon.noting import Noting
from tieout.recon.periods import Period
from tieout.recon.plain import Counts, Sifted, Terms
from tieout.recon.reading import Found
from tieout.recon.rules import Judged, SideName
from tieout.recon.running import Running
from tieout.recon.settling import AGAIN
from tieout.recon.snapshot import FORMAT, take
from tieout.recon.sources import Both, Opened, opened
from tieout.recon.spark import Sieve, reach
from tieout.recon.store import NewBreak, ReconStore, Run, StoredState, WrittenBreak, written
from tieout.recon.threads import to_its_end

T = TypeVar("T")

log = logging.getLogger("tieout.recon")

DOUBTS = 2_500
"""Keys that are judged at a time."""

AT_ONCE = 3
"""Batches of keys that are at work: while one is judged, the sources answer the others."""

HELD = 5.0
"""Seconds between two looks at the lease while DuckDB is at work."""

NONE = Counts(0, 0, 0, 0)


class World(NamedTuple):
    """What comparisons act on."""

    database: Database
    store: ReconStore
    leases: Leases
    alarms: AlarmRaiser


class Offline:
    """Compares a rule's sides over a period; `folder` holds the snapshots until the comparison has ended.

    With the address of a Spark Connect server as `spark`, that takes out what plainly agrees.
    """

    def __init__(
        self, world: World, rule: Rule, period: Period, folder: Path, running: Running, spark: str = ""
    ) -> None:
        self._world, self._rule, self._period, self._folder = world, rule, period, folder
        self._running, self._spark = running, spark
        self._lease: Lease | None = None
        self._is_over = True
        self._asked = asyncio.Lock()

    async def run(self, *, unfinished: bool = False) -> Run:
        """Compare, and store what came of it; the snapshots are removed.

        Raise `NotAllowed` while the period and the grace behind it have not passed (unless `unfinished`), or while
        somebody else compares the same; `DefinitionError` for a rule that cannot be compared offline. What fails leaves
        the snapshots that are whole, for the next run.
        """
        if self._rule.needs_time:
            sides = " and ".join(self._rule.needs_time)
            raise DefinitionError(f"{self._rule.name}: {sides} has no at=, so that no period can be told")
        self._is_over = await self._has_passed()
        if not (self._is_over or unfinished):
            raise NotAllowed(
                f"{self._period} and the grace behind it have not passed: what comes late would be missing"
            )
        if self._spark:
            await to_its_end(reach, self._spark)
        self._lease = await self._world.leases.take(f"recon:{self._rule.name}:{self._period}"[:255])
        if self._lease is None:
            raise NotAllowed(f"{self._rule.name} over {self._period} is being compared by somebody else")
        try:
            return await self._compared()
        finally:
            await _if_it_answers(self._world.leases.release(self._lease))

    async def _compared(self) -> Run:
        run = await self._running.begin(self._rule, self._period)
        try:
            async with opened(self._rule, self._period) as both:
                files = await self._snapshots(both)
                written = both.upstream.reading.written_numbers | both.downstream.reading.written_numbers
                terms = (both.judged, self._period, len(self._rule.upstream.key), self._rule.sample, written)
                async with self._sifted(files, terms) as left:
                    comparison = await self._aside(lambda: Comparison(left.files, *terms))
                    try:
                        state, totals = await self._judged(run, both, comparison, left.taken)
                    finally:
                        comparison.close()
        except BaseException as error:
            why = _why(error)
            ending = self._world.database.transact(lambda tx: self._world.store.end(tx, run, "failed", None, why))
            await _if_it_answers(ending)
            raise
        _remove(files)
        return await self._ended(run, state, totals)

    @asynccontextmanager
    async def _sifted(self, files: dict[SideName, Path], terms: Terms) -> AsyncIterator[Sifted]:
        """What is to be compared here: all, unless Spark takes out what plainly agrees."""
        if not self._spark:
            yield Sifted(files, NONE)
            return
        sieve = await self._aside(lambda: Sieve(self._spark))
        try:
            left = await self._aside(lambda: sieve.sift(files, *terms), stop=sieve.stop)
        finally:
            await to_its_end(sieve.close)
        try:
            yield left
        finally:
            _remove(left.files)

    async def _snapshots(self, both: Both) -> dict[SideName, Path]:
        """A file for each side; the rule's version and sources in its name keep others' from being taken up.

        What was read before the period was over is taken up by nobody: it lacks what has come since.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        sources = digest([side.source if isinstance(side.source, str) else "" for _, side in self._rule.sides])
        stem = f"{FORMAT}-{self._rule.version}-{sources}-{self._period.since}-{self._period.until}"
        stem += "" if self._is_over else "-unfinished"
        files = {side.reading.name: self._folder / f"{stem}-{side.reading.name}.parquet" for side in both.sides}
        if not self._is_over:
            _remove(files)
        read = self._period.padded(self._rule.edge)
        await together(
            *(take(side, read, files[side.reading.name], self._progress, both.numbers) for side in both.sides)
        )
        return files

    async def _judged(
        self, run: Run, both: Both, comparison: Comparison, taken: Counts
    ) -> tuple[StoredState, dict[str, Any]]:
        counts = taken.plus(await self._aside(comparison.classify))
        tally: Counter[str] = Counter()
        doubts = Doubts(self._rule, self._period, both, comparison, tally)
        async with Noting(lambda found: self._note(run, found)) as noting:
            batches = comparison.candidates(DOUBTS)

            async def settle() -> None:
                for keys in batches:
                    await noting.add(await doubts.settle(keys))
                    await self._progress("asking again", doubts.asked)

            await together(*(settle() for _ in range(AT_ONCE)))
            for side in both.sides:
                await noting.add([written(run.rule, one) for one in _unkeyed(both.judged, side, comparison, tally)])
        totals = {**_totals(counts, tally, comparison), "sample": self._rule.sample}
        return _state(totals), totals

    async def _note(self, run: Run, breaks: list[WrittenBreak]) -> None:
        await self._world.database.transact(lambda tx: self._world.store.write(tx, run, breaks))

    async def _ended(self, run: Run, state: StoredState, totals: dict[str, Any]) -> Run:
        """Close what is not found any more, and raise one alarm for all that is."""

        async def work(tx: Transaction) -> Run | None:
            totals["closed"] = await self._world.store.close(tx, run, is_whole=self._rule.sample >= 1)
            await self._world.store.end(tx, run, state, totals)
            if state != "agreed":
                await self._world.alarms.raise_alarm(tx, _alarm(run, self._rule, state, totals))
            return await self._world.store.read(tx, run.id)

        ended = await self._world.database.transact(work)
        return run if ended is None else ended

    async def _has_passed(self) -> bool:
        """Whether the period and the grace behind it have."""

        async def now(tx: Transaction) -> int:
            row = await tx.fetch_one("SELECT {now} AS now")
            return 0 if row is None else int(row[0])

        return await self._world.database.read(now) >= self._period.until + self._rule.grace

    async def _aside(self, work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
        """Run what takes its time in a thread, and hold the lease meanwhile; `stop` has it end soon."""
        await self._progress("comparing", 0)
        task = asyncio.create_task(to_its_end(work))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HELD)
                await self._progress("comparing", 0)
        finally:
            if not task.done():
                if stop is not None:
                    await to_its_end(stop)
                await asyncio.gather(task, return_exceptions=True)  # nobody waits for what it comes to
        return task.result()

    async def _progress(self, what: str, count: int) -> None:
        """Tell how far it is, and hold the lease."""
        async with self._asked:
            if self._lease is not None and not self._world.leases.may_begin(self._lease):
                self._lease = await self._world.leases.renew(self._lease)
        await self._running.progress(what, count)


async def _if_it_answers(last_word: Awaitable[object]) -> None:
    """Tell the database the last word; where it does not answer, that must not stand for why all has ended."""
    try:
        await last_word
    except DatabaseError as error:
        log.warning("the end of a comparison is not noted before it is taken for lost: %s", error)


def _unkeyed(judged: Judged, side: Opened, comparison: Comparison, tally: Counter[str]) -> list[NewBreak]:
    rows: dict[tuple[str | None, ...], list[Found]] = {}
    for row in comparison.unkeyed(side.reading.name):
        rows.setdefault(row.key, []).append(row)
    breaks = [told_unkeyed(judged, side.reading.name, key, found) for key, found in rows.items()]
    for one, found in zip(breaks, rows.values(), strict=True):
        tally[one.outcome] += len(found)
    return breaks


def _totals(counts: Counts, tally: Counter[str], comparison: Comparison) -> dict[str, Any]:
    sides: tuple[SideName, SideName] = ("upstream", "downstream")
    undated = {side: comparison.undated(side) for side in sides}
    again = tally.pop(AGAIN, 0)
    totals: dict[str, Any] = {
        "tied": counts.tied + again,
        "late-tied": counts.late_tied + tally.pop("late-tied", 0),
        **{name: tally.pop(name, 0) for name in ("missing", "orphan", "differs", "duplicate")},
        "carried": counts.carried + tally.pop("carried", 0),
        "ignored": tally.pop("ignored", 0),
        "withdrawn": tally.pop("withdrawn", 0),
        "asked-again": counts.candidates,
        "tied-when-asked-again": again,
        "undated": {side: count for side, (count, _) in undated.items()},
    }
    totals["undated-keys"] = {side: [one.key for one in rows] for side, (_, rows) in undated.items()}
    return totals


def _state(totals: dict[str, Any]) -> StoredState:
    """Nothing compared is never agreement, and neither is a row that no period can hold."""
    breaks = sum(totals[name] for name in ("missing", "orphan", "differs", "duplicate"))
    if breaks or any(totals["undated"].values()):
        return "broken"
    return "agreed" if totals["tied"] + totals["late-tied"] else "empty"


def _remove(files: dict[SideName, Path]) -> None:
    for file in files.values():
        file.unlink(missing_ok=True)


def _why(error: BaseException) -> str:
    """What is kept of a failure: nothing that is not made to be told."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, asyncio.CancelledError):
        return "it was stopped"
    return f"[{error.code}] {error}"[:1_000] if isinstance(error, TieoutError) else type(error).__name__


def _alarm(run: Run, rule: Rule, state: StoredState, totals: dict[str, Any]) -> NewAlarm:
    counts = {name: totals[name] for name in ("missing", "orphan", "differs", "duplicate") if totals[name]}
    undated = sum(totals["undated"].values())
    what = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    what = what or (f"{undated:,} rows without a time" if undated else "nothing was compared")
    summary = f"{rule.name} over {run.period}: {what}" + (f" (for {rule.owner})" if rule.owner else "")
    evidence = {"run": run.id.hex(), "state": state, "version": rule.version, "totals": counts, "undated": undated}
    return NewAlarm("recon-breaks", f"{rule.name} {run.period}", summary, evidence=(evidence,))
