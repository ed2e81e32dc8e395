"""What was seen when, and what that changed: the log of observations, which is the feed of changes too.

A copy's only writer numbers the rows of its log without gaps, in the order in which they are committed. Sightings of
whole groups in which nothing has changed, which are most, stand many in a row; each of the others has one of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.mirror.calendar import LONGEST_TOOK, Bools, Ints

KEEP = 30 * 86_400_000_000
"""Microseconds that sightings are kept: long enough to try a plan on them before it is switched on."""

PURGED = 5_000
"""Sightings that are forgotten at a time."""

CATALOGUE = "catalogue"
"""The cause of a sighting that tells of items that came or went; it is of no group."""

MANY = -2
"""Stands for the group of a row that has many sightings."""

TOGETHER = 500
"""Most sightings in a row: a view takes them in at once, in less than a millisecond."""

UNCHANGED = np.dtype(
    [("group", "<i8"), ("first", "<i8"), ("cells", "<u2"), ("start", "<i8"), ("took", "<u4"), ("known", "<u4")]
)
"""A sighting in a row of many: what of it is not the same for all of them."""

_COLUMNS = ("group", "first", "cells", "start", "took", "known")

Unchanged: TypeAlias = NDArray[Any]
"""Sightings of whole groups, all of one cause, in which nothing has changed: of `UNCHANGED`."""


class Sighted(NamedTuple):
    """An observation that was merged: `known` cells were compared with what was kept, and `changed` were otherwise.

    `start` and `at`, when it was merged, are the server's microseconds, `took` is in milliseconds; `days` has the items
    that changed, each with a bit for each cell from `first` on. Where `group` is `MANY` it has many sightings, which
    `each_of` tells, and `known` is of all of them.
    """

    seq: int
    group: int
    first: int
    cells: int
    cause: str
    start: int
    took: int
    whole: bool
    known: int
    changed: int
    days: bytes
    at: int = 0


class ItemChange(msgspec.Struct, frozen=True):
    """Cells of an item that changed, as days or moments, and the number of this in its supplier's feed."""

    seq: int
    item: str
    cells: Sequence[Any]


class Feed(msgspec.Struct, frozen=True):
    """Changes in the order in which they were stored, and the cursor to go on with.

    When something is `lost`, changes behind the cursor that was given are no longer kept: read all again.
    """

    changes: Sequence[ItemChange]
    cursor: int
    lost: bool = False


class Sightings:
    """The log over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def add(self, tx: Transaction, copy: int, head: int, sighted: Sequence[Sighted]) -> None:
        """Store some, as the copy's writer, and number their rows from the last one, which is `head`, on."""
        rows = together(sighted)
        await tx.execute(self.sql.advance_head, copy=copy, count=len(rows))
        await tx.execute_many(
            self.sql.add_sighting,
            [
                {
                    "copy": copy,
                    "seq": head + at,
                    "grp": one.group,
                    "first": one.first,
                    "cells": one.cells,
                    "cause": one.cause,
                    "start": one.start,
                    "took": one.took,
                    "whole": int(one.whole),
                    "known": one.known,
                    "changed": one.changed,
                    "days": one.days,
                }
                for at, one in enumerate(rows, 1)
            ],
        )

    async def head(self, tx: Transaction, copy: int) -> int:
        """The number of a copy's last sighting; 0 before the first."""
        row = await tx.fetch_one(self.sql.head, copy=copy)
        return 0 if row is None else int(row[0])

    async def heads(self, tx: Transaction) -> tuple[dict[int, int], int]:
        """The same of all copies, and the server's time."""
        rows = await tx.fetch(self.sql.heads)
        return {copy: head for copy, head, _ in rows}, max((now for *_, now in rows), default=0)

    async def after(self, tx: Transaction, copy: int, seq: int, limit: int) -> list[Sighted]:
        """Rows of sightings behind a number, in their order."""
        rows = await tx.fetch(self.sql.sightings, copy=copy, after=seq, limit=limit)
        return [_sighted(row) for row in rows]

    async def changes(self, tx: Transaction, copy: int, seq: int, limit: int) -> list[Sighted]:
        """The same, of those that changed something."""
        rows = await tx.fetch(self.sql.changing_sightings, copy=copy, after=seq, limit=limit)
        return [_sighted(row) for row in rows]

    async def oldest(self, tx: Transaction, copy: int) -> int:
        """The number of the oldest one that is kept; 0 when there is none."""
        row = await tx.fetch_one(self.sql.oldest_sighting, copy=copy)
        return 0 if row is None else int(row[0])

    async def purge(self, tx: Transaction, copy: int) -> None:
        """Forget some that are too old."""
        until = await self.oldest(tx, copy) + PURGED
        await tx.execute(self.sql.purge_sightings, copy=copy, until=until, keep=KEEP)


def together(sighted: Sequence[Sighted]) -> list[Sighted]:
    """Sightings as rows: those that tell nothing but that whole groups are as they were, many in a row."""
    rows, alike = list[Sighted](), defaultdict[str, list[Sighted]](list)
    for one in sighted:
        (alike[one.cause] if _is_as_it_was(one) else rows).append(one)
    for cause, some in alike.items():
        columns = [[getattr(one, name) for one in some] for name in _COLUMNS]
        rows += [some[0]] if len(some) == 1 else rows_of_many(cause, *columns)
    return rows


def rows_of_many(cause: str, *columns: Sequence[int] | Ints) -> list[Sighted]:
    """Rows of sightings of whole groups in which nothing has changed; the columns are those of `UNCHANGED`."""
    whole = np.zeros(len(columns[0]), dtype=UNCHANGED)
    for name, column in zip(_COLUMNS, columns, strict=True):
        whole[name] = column
    return [_row_of_many(cause, whole[at : at + TOGETHER]) for at in range(0, len(whole), TOGETHER)]


def _row_of_many(cause: str, some: Unchanged) -> Sighted:
    start, known = int(some["start"].min()), int(some["known"].sum())
    return Sighted(0, MANY, 0, 0, cause, start, 0, True, known, 0, some.tobytes())


def _is_as_it_was(one: Sighted) -> bool:
    """Whether a sighting tells nothing but that one whole group is as it was, and when."""
    is_plain = one.whole and not one.changed and one.took <= LONGEST_TOOK
    return is_plain and one.group != MANY and one.cause != CATALOGUE


def unchanged_of(sighted: Sighted) -> Unchanged:
    """The sightings of a row of many."""
    return np.frombuffer(sighted.days, dtype=UNCHANGED)


def each_of(row: Sighted) -> Iterator[Sighted]:
    """The sightings of a row, which is mostly one."""
    if row.group != MANY:
        yield row
        return
    for group, first, cells, start, took, known in unchanged_of(row).tolist():
        yield Sighted(row.seq, group, first, cells, row.cause, start, took, True, known, 0, b"", row.at)


def pack_days(items: Ints, changed: Bools) -> tuple[bytes, int]:
    """The items that changed, by number, each with a bit for each of its cells; and how many bytes an item takes."""
    kind = _row(changed.shape[1])
    rows = np.zeros(len(items), dtype=kind)
    rows["item"] = items
    rows["days"] = np.packbits(changed, axis=1, bitorder="little")
    return rows.tobytes(), kind.itemsize


def unpack_days(sighted: Sighted) -> Iterator[tuple[int, Ints]]:
    """Each item of a sighting that changed, with the positions of its cells that did."""
    rows = np.frombuffer(sighted.days, dtype=_row(sighted.cells))
    changed = np.unpackbits(rows["days"], axis=1, count=sighted.cells, bitorder="little").astype(np.bool_)
    for item, cells in zip(rows["item"], changed, strict=True):
        yield int(item), sighted.first + np.flatnonzero(cells)


def groups_of(sighted: Iterable[Sighted]) -> set[int]:
    """The groups whose rows some sightings wrote: those with changes, or with times of their own."""
    return {one.group for one in sighted if one.changed or not one.whole}


def _sighted(row: Any) -> Sighted:
    seq, group, first, cells, cause, start, took, whole, known, changed, days, at = row
    return Sighted(seq, group, first, cells, cause, start, took, bool(whole), known, changed, bytes(days), at)


def _row(cells: int) -> np.dtype[Any]:
    return np.dtype([("item", "<i8"), ("days", "u1", ((cells + 7) // 8,))])
