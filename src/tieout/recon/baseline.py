"""What there was before a rule is followed, or while its feeds were away: loaded from a snapshot of each side.

Meanwhile the feeds are read. A key that they tell of is asked for at the sources, whatever the snapshot says of it; so
it does not matter on which side of a snapshot a change lies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from tieout.recon.comparing import file_rows
from tieout.recon.fact_store import FactStore
from tieout.recon.facts import SIDES, Body, Kept
from tieout.recon.following import Follower
from tieout.recon.live import Followed, Live
from tieout.recon.periods import Period
from tieout.recon.plain import sampled, text_of
from tieout.recon.rules import Record, SideName
from tieout.recon.snapshot import Progress, take
from tieout.recon.translating import KEY_LENGTH, key_text

LOADED = 2_000
"""Keys that are kept in one transaction."""

EVER = 1 << 60
"""Later than every business time, in microseconds."""

Pair = tuple[str, list[Record], list[Record]]


async def load(
    live: Live, store: FactStore, rule: Followed, followers: Mapping[str, Follower], now: int, progress: Progress
) -> None:
    """Keep and judge what both sides have since the rule's memory; then the rule is live."""
    period = Period(now - rule.rule.memory, EVER)
    with TemporaryDirectory(prefix="tieout-baseline-") as folder:
        files = {side.reading.name: Path(folder) / f"{side.reading.name}.parquet" for side in rule.both.sides}
        async with asyncio.TaskGroup() as group:
            for side in rule.both.sides:
                group.create_task(take(side, period, files[side.reading.name], progress))
        baseline = Baseline(files, rule)
        try:
            pairs = baseline.pairs()
            while loaded := await asyncio.to_thread(lambda: list(next(pairs, []))):
                await _keep(live, store, rule, loaded, now)
        finally:
            baseline.close()
    await live.reach({name: await followers[name].feed.here() for name in rule.feeds})
    await live.go_live(rule)


async def _keep(live: Live, store: FactStore, rule: Followed, pairs: list[Pair], now: int) -> None:
    keys = {}
    for key, ours, theirs in pairs:
        if len(key) > KEY_LENGTH:
            continue
        one = keys[key] = Kept(changed=now, body=Body(ours, theirs))
        one.stand(rule.judged, rule.plain)
    await live.guarded(lambda tx: store.add(tx, rule.number, keys))


class Baseline:
    """Two snapshots, by key."""

    def __init__(self, files: Mapping[SideName, Path], rule: Followed) -> None:
        self._duck = duckdb.connect(config={"temp_directory": str(files["upstream"].parent / "spill")})
        self._width, self._fields = len(rule.rule.upstream.key), len(rule.rule.agree)
        keys = [f"k{number}" for number in range(self._width)]
        columns = [*keys, "at_us", *(f"v{number}" for number in range(self._fields))]
        texts = {key: text_of(key) for key in keys}
        for side, file in files.items():
            rows = sampled(file_rows(file), columns, keys, texts, rule.rule.sample)
            self._duck.execute(f"CREATE VIEW {side} AS {rows}")
        self._keys = ", ".join(keys)

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._duck.close()

    def pairs(self) -> Iterator[list[Pair]]:
        """Each key with the records of both sides, so many at a time."""
        sides = " UNION ALL ".join(f"SELECT {self._keys}, {self._record(side)} FROM {side}" for side in SIDES)  # noqa: S608 - names are our own
        apart = " OR ".join(f"{key} IS NULL" for key in self._keys.split(", "))
        lists = ", ".join(f"list(record) FILTER (side = {number})" for number in range(len(SIDES)))
        grouped = f"CASE WHEN {apart} THEN side END"
        cursor = self._duck.execute(
            f"SELECT {self._keys}, {grouped}, {lists} FROM ({sides}) GROUP BY {self._keys}, {grouped}"  # noqa: S608 - names are our own
        )
        while rows := cursor.fetchmany(LOADED):
            yield [self._pair(row) for row in rows]

    def _record(self, side: SideName) -> str:
        values = ", ".join(["at_us::VARCHAR", *(f"v{number}" for number in range(self._fields))])
        return f"[{values}] AS record, {SIDES.index(side)} AS side"

    def _pair(self, row: tuple[Any, ...]) -> Pair:
        *key, apart, ours, theirs = row
        return key_text(key, apart or 0), _records(ours), _records(theirs)


def _records(given: list[list[str | None]] | None) -> list[Record]:
    return [Record(None if at is None else int(at), tuple(values)) for at, *values in given or []]
