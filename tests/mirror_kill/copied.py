"""The packed rows of a copy of days and two fields, read by code that takes nothing of tieout's."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

RING = 8
"""Slots of a row; the day with number p since 1970 stands in slot p modulo 8."""

ROW = struct.Struct(f"<iBB{RING}i")
APART = struct.Struct("<HqI")
BASE = struct.Struct("<i")
RUN = struct.Struct("<HqI")
"""So many slots of a group, one behind the other, that were asked for since one moment, for so many milliseconds."""

ITEMS = """SELECT i.n, i.name, i.cells, g.checks FROM tieout_mirror_item i
JOIN tieout_mirror_group g ON g.copy = i.copy AND g.n = i.grp WHERE i.gone IS NULL AND g.gone IS NULL"""
SUSPECTS = "SELECT item, place, since FROM tieout_mirror_suspect"
DOUBTS = "SELECT d.grp, d.first, d.cells, d.since FROM tieout_mirror_doubt d"
GROUPS = "SELECT i.n, i.grp FROM tieout_mirror_item i"
MAIL = "SELECT count(*) FROM tieout_mirror_inbox"


class Cell(NamedTuple):
    """One cell as it is kept, and the interval in which it was observed last, in microseconds."""

    price: int
    open: bool
    start: int
    end: int


def cells_of(row: bytes, checks: bytes) -> dict[int, Cell]:
    """The known cells of an item, by the number of their day."""
    base, known, opens, *prices = ROW.unpack_from(row)
    (of_group,) = BASE.unpack_from(checks)
    times = [(start, span * 1_000) for slots, start, span in RUN.iter_unpack(checks[BASE.size :]) for _ in range(slots)]
    starts, took = map(list, zip(*times, strict=True))
    for slot in range(RING):
        if at(slot, of_group) < max(base, of_group):
            starts[slot], took[slot] = -(1 << 62), 0
    for slot, start, span in APART.iter_unpack(row[ROW.size :]):
        if start > starts[slot]:
            starts[slot], took[slot] = start, span * 1_000
    return {
        at(slot, base): Cell(prices[slot], bool(opens >> slot & 1), starts[slot], starts[slot] + took[slot])
        for slot in range(RING)
        if known >> slot & 1
    }


def at(slot: int, base: int) -> int:
    """The day that stands in a slot of a row that begins at `base`."""
    return base + (slot - base) % RING


def copy_of(rows: Iterable[tuple[int, bytes, bytes, bytes]]) -> dict[str, dict[int, Cell]]:
    """The known cells of each item, by its name."""
    return {bytes(name).decode(): cells_of(bytes(cells), bytes(checks)) for _, name, cells, checks in rows}
