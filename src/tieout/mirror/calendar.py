"""Packed rows: the cells of one item in one short row of bytes, and many rows as columns to compute on.

A row is `base`, a bit for each slot of the ring that is known, and an array for each field; behind that stand the
times of cells that were observed apart from their group (see `rules.py`). A slot holds the one position p with
base <= p < base + ring; what was written before `base` is over. So a row needs no writing when time goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tieout.errors import SchemaMismatch
from tieout.mirror.axis import Axis
from tieout.mirror.fields import Field

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]

NEVER = -(1 << 62)
"""Before every time, in microseconds: the interval of a cell that was not observed apart from its group."""

APART = np.dtype([("slot", "<u2"), ("start", "<i8"), ("took", "<u4")])
"""A cell's own time, behind the row: when its observation began (microseconds), and how long it took (milliseconds)."""

RUN = np.dtype([("slots", "<u2"), ("start", "<i8"), ("took", "<u4")])
"""Slots of a group, one behind the other, that were asked for at one time: since when, and how long it took."""

_BASE = 4
"""Bytes of a position."""

LONGEST_TOOK = (1 << 32) - 1
"""Milliseconds that an observation may have taken: 49 days, longer than anything that it is compared with is old."""


class Cells:
    """Cells of n items as columns: arrays of shape (n, ring), one for each field, and what is known of each cell.

    `start` and `end` are the times of cells that were observed apart from their group, in the server's microseconds;
    `NEVER` elsewhere. Mostly there are none, and no room is taken for them until somebody looks.
    """

    def __init__(
        self, base: Ints, known: Bools, values: dict[str, NDArray[Any]], apart: tuple[Ints, Ints] | None = None
    ) -> None:
        self.base = base
        self.known = known
        self.values = values
        self._apart = apart

    def __len__(self) -> int:
        return len(self.base)

    @property
    def is_any_apart(self) -> bool:
        """Whether a cell may have been observed apart from its group."""
        return self._apart is not None

    @property
    def start(self) -> Ints:
        """When cells were observed apart."""
        return self._times()[0]

    @property
    def end(self) -> Ints:
        """Until when."""
        return self._times()[1]

    def roll(self, first: int | Ints) -> None:
        """Forget what is before `first`, of each item or of all, and make room for as many cells behind the last."""
        first = np.broadcast_to(first, self.base.shape)
        if (self.base >= first).all():
            return
        if self.is_any_apart or self.known.any():
            gone = positions(self.base, self.known.shape[1]) < first[:, None]
            self.known &= ~gone
            for times in self._apart or ():
                times[gone] = NEVER
        np.maximum(self.base, first, out=self.base)

    def pick(self, items: Bools) -> Cells:
        """Some of the items; these cells themselves where that is all of them."""
        if items.all():
            return self
        values = {name: values[items] for name, values in self.values.items()}
        apart = None if self._apart is None else (self._apart[0][items], self._apart[1][items])
        return Cells(self.base[items], self.known[items], values, apart)

    def _times(self) -> tuple[Ints, Ints]:
        if self._apart is None:
            never = np.full(self.known.shape, NEVER, dtype=np.int64)
            self._apart = never, never.copy()
        return self._apart


class Layout:
    """How the rows of one mirror are packed: its axis, and its fields in the order of their names."""

    def __init__(self, axis: Axis, fields: Mapping[str, Field]) -> None:
        self.axis = axis
        self.ring = axis.ring
        self.fields = dict(sorted(fields.items()))
        self._bytes = (self.ring + 7) // 8
        self._row = np.dtype(
            [
                ("base", "<i4"),
                ("known", "u1", (self._bytes,)),
                *((name, *self._column(field)) for name, field in self.fields.items()),
            ]
        )

    @property
    def description(self) -> dict[str, Any]:
        """What two layouts that pack rows alike have in common."""
        columns = {name: [field.kind, field.stored] for name, field in self.fields.items()}
        return {"ring": self.ring, "axis": self.axis.kind, "every": self.axis.every, "fields": columns}

    @property
    def size(self) -> int:
        """Bytes of a row none of whose cells was observed apart."""
        return self._row.itemsize

    def empty(self, count: int, first: int) -> Cells:
        """`count` items of which nothing is known."""
        shape = (count, self.ring)
        values = {name: np.zeros(shape, dtype=field.stored) for name, field in self.fields.items()}
        return Cells(np.full(count, first, dtype=np.int64), np.zeros(shape, np.bool_), values)

    def unpack(self, rows: Sequence[bytes]) -> Cells:
        """Rows as columns; raise `SchemaMismatch` when one cannot be of this mirror."""
        size, lengths = self.size, set(map(len, rows))
        short = [length for length in lengths if length < size or (length - size) % APART.itemsize]
        if short:
            raise SchemaMismatch(f"a row of {short[0]} bytes is not of this mirror: its fields or axis were others")
        is_any_apart = lengths != {size}
        packed = np.frombuffer(b"".join(row[:size] for row in rows) if is_any_apart else b"".join(rows), self._row)
        values = {
            name: self._flags(packed[name]) if field.kind == "flag" else np.array(packed[name])
            for name, field in self.fields.items()
        }
        cells = Cells(packed["base"].astype(np.int64), self._flags(packed["known"]), values)
        for at, row in enumerate(rows if is_any_apart else ()):
            if len(row) > size:
                apart = np.frombuffer(row, dtype=APART, offset=size)
                cells.start[at, apart["slot"]] = apart["start"]
                cells.end[at, apart["slot"]] = apart["start"] + apart["took"].astype(np.int64) * 1_000
        return cells

    def pack(self, cells: Cells) -> list[bytes]:
        """Columns as rows, in their order."""
        packed = np.empty(len(cells), dtype=self._row)
        packed["base"] = cells.base
        packed["known"] = np.packbits(cells.known, axis=1, bitorder="little")
        for name, field in self.fields.items():
            values = cells.values[name]
            packed[name] = np.packbits(values, axis=1, bitorder="little") if field.kind == "flag" else values
        rows: list[bytes] = packed.view((np.void, self.size)).tolist()
        apart = cells.start != NEVER if cells.is_any_apart else np.zeros((0, 0), dtype=np.bool_)
        for at in np.flatnonzero(apart.any(axis=1)):
            slots = np.flatnonzero(apart[at])
            times = np.zeros(len(slots), dtype=APART)
            times["slot"] = slots
            times["start"], times["took"] = _interval(cells.start[at, slots], cells.end[at, slots])
            rows[at] += times.tobytes()
        return rows

    def _column(self, field: Field) -> tuple[Any, ...]:
        return ("u1", (self._bytes,)) if field.kind == "flag" else (field.stored, (self.ring,))

    def _flags(self, packed: NDArray[Any]) -> Bools:
        return np.unpackbits(packed, axis=1, count=self.ring, bitorder="little").view(np.bool_)


class Checks:
    """When each cell of n groups was last asked for together with all of its group: arrays of shape (n, ring)."""

    def __init__(self, base: Ints, start: Ints, end: Ints) -> None:
        self.base = base
        self.start = start
        self.end = end

    @classmethod
    def empty(cls, count: int, ring: int, first: int) -> Checks:
        """Groups that were never asked for."""
        never = np.full((count, ring), NEVER, dtype=np.int64)
        return cls(np.full(count, first, dtype=np.int64), never, never.copy())

    def pick(self, groups: Ints) -> Checks:
        """Some of the groups, as a copy."""
        return Checks(self.base[groups], self.start[groups], self.end[groups])

    def put(self, groups: Ints, checks: Checks) -> None:
        """Put back what `pick` took."""
        self.base[groups], self.start[groups], self.end[groups] = checks.base, checks.start, checks.end

    @classmethod
    def unpack(cls, rows: Sequence[bytes], ring: int) -> Checks:
        """What `pack` made, or packed before it made runs; raise `SchemaMismatch` when it made something else."""
        slots = _slots_row(ring)
        if any(len(row) == slots.itemsize for row in rows):
            return cls.unpack([_runs_of(row, slots) if len(row) == slots.itemsize else row for row in rows], ring)
        if any(len(row) <= _BASE or (len(row) - _BASE) % RUN.itemsize for row in rows):
            raise SchemaMismatch("the check times of a group were packed for another axis")
        base = np.frombuffer(b"".join(row[:_BASE] for row in rows), dtype="<i4").astype(np.int64)
        runs = np.frombuffer(b"".join(row[_BASE:] for row in rows), dtype=RUN)
        owner = np.repeat(np.arange(len(rows)), [(len(row) - _BASE) // RUN.itemsize for row in rows])
        if (np.bincount(owner, weights=runs["slots"], minlength=len(rows)) != ring).any():
            raise SchemaMismatch("the check times of a group were packed for another axis")
        start = runs["start"].astype(np.int64)
        end = np.where(start == NEVER, NEVER, start + runs["took"].astype(np.int64) * 1_000)
        shape = (len(rows), ring)
        return cls(base, np.repeat(start, runs["slots"]).reshape(shape), np.repeat(end, runs["slots"]).reshape(shape))

    def pack(self) -> list[bytes]:
        """One row of bytes for each group: runs of slots that were asked for at the same time."""
        begins: Bools = np.ones(self.start.shape, dtype=np.bool_)
        begins[:, 1:] = (self.start[:, 1:] != self.start[:, :-1]) | (self.end[:, 1:] != self.end[:, :-1])
        first = np.flatnonzero(begins)
        runs = np.zeros(len(first), dtype=RUN)
        runs["slots"] = np.diff(first, append=self.start.size)
        runs["start"], runs["took"] = _interval(self.start.reshape(-1)[first], self.end.reshape(-1)[first])
        base, whole = self.base.astype("<i4").tobytes(), runs.tobytes()
        ends = (np.cumsum(np.count_nonzero(begins, axis=1)) * RUN.itemsize).tolist()
        return [
            base[at * _BASE : (at + 1) * _BASE] + whole[begin:end]
            for at, (begin, end) in enumerate(zip([0, *ends], ends, strict=False))
        ]

    def roll(self, first: int | Ints) -> None:
        """Forget the times of what is before `first`, of each group or of all."""
        first = np.broadcast_to(first, self.base.shape)
        if (self.base >= first).all():
            return
        gone = positions(self.base, self.start.shape[1]) < first[:, None]
        self.start[gone] = NEVER
        self.end[gone] = NEVER
        np.maximum(self.base, first, out=self.base)


def positions(base: Ints, ring: int) -> Ints:
    """The position that stands in each slot of rings with these bases: an array of shape (n, ring)."""
    slot = np.arange(ring, dtype=np.int64)
    at = base[:, None]
    return at + ((slot - at) & (ring - 1))


def bitmap(cells: Bools) -> list[bytes]:
    """A row of bytes for each row of truth values, the first in the lowest bit."""
    packed = np.packbits(cells, axis=1, bitorder="little")
    return [row.tobytes() for row in packed]


def from_bitmap(rows: Iterable[bytes], ring: int) -> Bools:
    """What `bitmap` made."""
    packed = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, (ring + 7) // 8)
    return np.unpackbits(packed, axis=1, count=ring, bitorder="little").astype(np.bool_)


def _slots_row(ring: int) -> np.dtype[Any]:
    """How check times were packed first: never as long as some runs, for seven does not divide a ring."""
    return np.dtype([("base", "<i4"), ("start", "<i8", (ring,)), ("took", "<u4", (ring,))])


def _runs_of(row: bytes, kind: np.dtype[Any]) -> bytes:
    """The same check times as runs of one slot."""
    slots = np.frombuffer(row, dtype=kind)
    runs = np.ones(slots["start"].size, dtype=RUN)
    runs["start"], runs["took"] = slots["start"][0], slots["took"][0]
    return row[:_BASE] + runs.tobytes()


def _interval(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """When observations began, and how long they took: whole milliseconds, rounded up.

    An interval that is too long orders less, and never wrongly. Of one that is longer than can be kept the end is kept,
    which all that is newer has to come after.
    """
    longest = LONGEST_TOOK * 1_000
    began = np.where(start == NEVER, NEVER, np.maximum(start, end - longest))
    took: Ints = np.where(start == NEVER, 0, -((began - end) // 1_000))
    return began, took
