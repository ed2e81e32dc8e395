"""Two snapshots compared in DuckDB: what plainly agrees is counted there, everything else is left to the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa

from tieout.recon.columns import Columns, Key
from tieout.recon.facts import SIDES
from tieout.recon.periods import Period
from tieout.recon.plain import (
    CANDIDATE,
    CARRIED,
    LATE_TIED,
    TIED,
    Counts,
    Plain,
    folded,
    held,
    listed,
    nulls,
    number_text,
    text_of,
)
from tieout.recon.reading import Found, unpacked
from tieout.recon.rules import Judged, SideName

MEMORY = "1600MB"
"""What DuckDB may use before it goes on in temporary files: ten million pairs do not need them, and the whole process
stays below 2 GB."""

SHOWN = 100
"""Rows without a business time that a report shows; all are counted."""


class Comparison:
    """Snapshots of both sides in one DuckDB database, whose temporary files lie in `folder`."""

    def __init__(
        self,
        files: dict[SideName, Path],
        judged: Judged,
        period: Period,
        keys: int,
        sample: float,
        written: frozenset[int] = frozenset(),
    ) -> None:
        """Fields that are `written` are numbers as a database writes them, on one side at least."""
        folder = files["upstream"].parent
        self._duck = duckdb.connect(
            config={
                "temp_directory": str(folder / "spill"),
                "memory_limit": MEMORY,
                "preserve_insertion_order": False,
            }
        )
        there = held(files, len(judged.fields), keys)
        self._keys, self._texts, self._fields = there.keys, there.texts, len(there.values)
        self._plain = Plain(judged, period, there, written)
        self._whole = {side: None if sample < 1 else _whole_rows(file, self._keys) for side, file in files.items()}
        self._doubtful: set[SideName] = set()
        self._alike: set[SideName] = set()
        self._seeking = Lock()
        self._bare: set[SideName] = {side for side in SIDES if side not in judged.many}
        for side, file in files.items():
            told = {key: text_of(key) for key in self._keys}
            told |= {f"v{place}": number_text(place) for place in there.odd[side] & there.typed}
            self._duck.execute(f"CREATE VIEW {side} AS {self._plain.rows(side, file_rows(file), sample)}")
            self._duck.execute(f"CREATE VIEW {side}_told AS SELECT {listed(there.columns, told)} FROM {side}")  # noqa: S608 - names are our own
            if side in judged.many:
                self._duck.execute(f"CREATE TABLE {side}_keyed AS {self._plain.keyed(side)}")
            else:
                self._duck.execute(f"CREATE VIEW {side}_keyed AS {self._plain.single(side)}")

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._duck.close()

    def classify(self) -> Counts:
        """Count what is plain, and note the keys of what is not."""
        if not self._classified():
            for side in SIDES:
                if side in self._bare:
                    self._duck.execute(
                        f"DROP VIEW {side}_keyed; CREATE TABLE {side}_keyed AS {self._plain.keyed(side)}"
                    )
            self._bare.clear()
            self._classified()
        found = dict(self._duck.execute("SELECT class, sum(pairs) FROM classified GROUP BY class").fetchall())
        tied, late_tied, carried = (int(found.get(number, 0)) for number in (TIED, LATE_TIED, CARRIED))
        (left,) = self._duck.execute(f"SELECT count(*) FROM classified WHERE class = {CANDIDATE}").fetchone() or (0,)  # noqa: S608 - names are our own
        return Counts(tied, late_tied, carried, left)

    def _classified(self) -> bool:
        """Join the sides, as if no key were twice on a side that has each once; whether that was so.

        A key that is twice on one side and is met on the other makes more pairs than the other side has rows. One that
        is not met is a candidate, and the judge sees all of its rows.
        """
        keys = ", ".join(f"CASE WHEN class = {CANDIDATE} THEN {key} END AS {key}" for key in self._keys)
        self._duck.execute(
            f"CREATE OR REPLACE TABLE classified AS SELECT class, {keys}, count(*) AS pairs, count(ours) AS ours,"  # noqa: S608 - names are our own
            f" count(theirs) AS theirs FROM ({self._plain.pairs(self._bare)}) GROUP BY ALL"
        )
        met = self._duck.execute("SELECT sum(ours), sum(theirs) FROM classified").fetchone() or (0, 0)
        return [int(count or 0) for count in met] == [self._rows_there(side) for side in SIDES]

    def _rows_there(self, side: SideName) -> int:
        """How many rows of a side are joined; the file itself says so of one that has each key once."""
        known = self._whole[side] if side in self._bare else None
        if known is not None:
            return known
        (count,) = self._duck.execute(f"SELECT count(*) FROM {side}_keyed").fetchone() or (0,)  # noqa: S608 - names are our own
        return int(count)

    def candidates(self, batch: int) -> Iterator[list[Key]]:
        """The keys that are left to the judge, in order, batch by batch."""
        names = ", ".join(self._keys)
        told = ", ".join(text_of(key) for key in self._keys)
        cursor = self._duck.cursor()
        cursor.execute(f"SELECT {told} FROM classified WHERE class = {CANDIDATE} ORDER BY {names}")  # noqa: S608 - names are our own
        while rows := cursor.fetchmany(batch):
            yield rows

    def found(self, side: SideName, keys: Sequence[Key]) -> Columns:
        """A side's rows of these keys, as its snapshot has them."""
        if not keys:
            return Columns([], [], [])
        with self._seeking:
            if side not in self._doubtful:
                self._find_doubtful(side)
        parts = len(self._keys)
        rows = self._having(f"{side}_doubtful", keys)
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * (parts + 1 + self._fields)
        return Columns(list(zip(*columns[:parts], strict=True)), list(columns[parts]), columns[parts + 1 :])

    def _find_doubtful(self, side: SideName) -> None:
        """Note for all candidates at a time which rows a side has of them."""
        keys = listed(self._keys, {key: text_of(key) for key in self._keys})
        self._duck.execute(
            f"CREATE TABLE {side}_doubtful AS SELECT * FROM {side}_told SEMI JOIN"  # noqa: S608 - names are our own
            f" (SELECT {keys} FROM classified WHERE class = {CANDIDATE}) USING ({', '.join(self._keys)})"
        )
        self._doubtful.add(side)

    def unkeyed(self, side: SideName) -> list[Found]:
        """Rows of the period whose key is NULL, in part at least: no partner can have it."""
        null = " OR ".join(f"{key} IS NULL" for key in self._keys)
        return self._rows(f"SELECT * FROM {side}_told WHERE ({null}) AND {self._plain.inside('at_us')}")  # noqa: S608 - names are our own

    def undated(self, side: SideName) -> tuple[int, list[Found]]:
        """Rows without a business time, which no period holds: how many, and the first of them."""
        where = f"FROM {side}_told WHERE at_us IS NULL"
        (count,) = self._duck.execute(f"SELECT count(*) {where}").fetchone() or (0,)
        return count, self._rows(f"SELECT * {where} LIMIT {SHOWN}") if count else []

    def similar(self, side: SideName, keys: Sequence[Key]) -> dict[Key, Key]:
        """For each of these keys, one of the side's that differs from it in case and spaces only."""
        if not keys or not self._texts:
            return {}
        with self._seeking:
            if side not in self._alike:
                self._find_alike(side)
        rows = self._having(f"{side}_alike", keys)
        width = len(self._keys)
        return {row[:width]: row[width:] for row in rows}

    def _find_alike(self, side: SideName) -> None:
        """Note for all candidates at a time which of the side's keys are the same but for case and spaces."""
        written = " OR ".join(f"s.{key} <> w.{key}" for key in self._texts)
        same = " AND ".join(
            f"{folded(f's.{key}')} = {folded(f'w.{key}')}" if key in self._texts else f"s.{key} = w.{key}"
            for key in self._keys
        )
        wanted = [f"{text_of(f'w.{key}')} AS {key}" for key in self._keys]
        seen = [f"{text_of(f's.{key}')} AS as_{key}" for key in self._keys]
        self._duck.execute(
            f"CREATE TABLE {side}_alike AS SELECT {', '.join(wanted + seen)} FROM {side}_keyed AS s"  # noqa: S608 - names are our own
            f" JOIN (SELECT * FROM classified WHERE class = {CANDIDATE}) AS w ON {same} AND ({written})"
        )
        self._alike.add(side)

    def _having(self, table: str, keys: Sequence[Key]) -> list[Any]:
        """The rows of a table with these keys, which are texts there."""
        cursor = self._duck.cursor()  # threads that shared one would be given each other's rows
        cursor.register("asked", pa.table([pa.array(parts) for parts in zip(*keys, strict=True)], self._keys))
        return cursor.execute(f"SELECT * FROM {table} SEMI JOIN asked USING ({', '.join(self._keys)})").fetchall()  # noqa: S608 - names are our own

    def _rows(self, sql: str) -> list[Found]:
        return self._unpacked(self._duck.execute(sql).fetchall())

    def _unpacked(self, rows: Sequence[Any]) -> list[Found]:
        keys = len(self._keys)
        return unpacked(
            [(*row[:keys], None if row[keys] is None else str(row[keys]), *row[keys + 1 :]) for row in rows], keys
        )


def file_rows(file: Path) -> str:
    """A snapshot as a statement of DuckDB names it."""
    quoted = str(file).replace("'", "''")
    return f"read_parquet('{quoted}')"


def _whole_rows(file: Path, keys: Sequence[str]) -> int | None:
    """How many rows a snapshot has, if all have a key and a time."""
    told = [nulls(file, column) for column in (*keys, "at_us")]
    return told[0][0] if all(without == 0 for _, without in told) else None
