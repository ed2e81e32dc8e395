"""Axes: which cells an item has. A cell stands at a position, a whole number that never moves.

Positions are days since 1970-01-01 on an axis of days, slots since then on one of slots, and 0 on `one`. An item keeps
its cells in a ring: position p stands at p modulo the ring's size, so that time going on writes nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from tieout.config import microseconds
from tieout.errors import DefinitionError, InvalidParams

LONGEST = 1_024
"""Most cells of one item: more would make rows that are mostly copied, not read."""

SHORTEST_SLOT = 1_000_000
"""Microseconds: the positions of shorter slots would not fit into 32 bits."""

EPOCH = date(1970, 1, 1).toordinal()

MOMENT_0 = datetime(1970, 1, 1, tzinfo=UTC)

YEARS = range(2, 9_999)
"""Years of which every moment is within the calendar, in every zone."""


class Axis(msgspec.Struct, frozen=True):
    """`count` cells from the first open one on; `every` is the length of a slot in microseconds."""

    kind: Literal["one", "days", "slots"]
    count: int
    every: int = 0

    @property
    def ring(self) -> int:
        """Cells kept for an item: a power of two with room for the day of departure behind the last night."""
        if self.kind == "one":
            return 1
        return max(8, 1 << self.count.bit_length())

    def first(self, now: int, zone: ZoneInfo, rollover: int = 0) -> int:
        """The first open position at the server's time `now`, in microseconds.

        On an axis of days that is the local day, which begins `rollover` microseconds after midnight *by the clock on
        the wall*: rooms of the night are sold until 06:00 also when the clocks change.
        """
        match self.kind:
            case "one":
                return 0
            case "slots":
                return now // self.every
            case "days":
                local = datetime.fromtimestamp(now // 1_000_000, UTC).astimezone(zone)
                of_day = ((local.hour * 60 + local.minute) * 60 + local.second) * 1_000_000
                return local.date().toordinal() - EPOCH - (of_day < rollover)

    def position(self, first: date | datetime | None) -> int:
        """Where a cell stands that users name by a day, the moment of a slot, or not at all; raise `InvalidParams`."""
        match self.kind, first:
            case "one", None:
                return 0
            case "days", datetime():
                pass
            case "days", date():
                return position_of(first)
            case "slots", datetime() if first.tzinfo is not None:
                if first.year not in YEARS:
                    raise InvalidParams(f"first={first.isoformat()} is too far off")
                return (first - MOMENT_0) // timedelta(microseconds=self.every)
        wanted = {"one": "none", "days": "a date", "slots": "a datetime with a time zone"}[self.kind]
        raise InvalidParams(f"first={first!r}: on this axis it has to be {wanted}")

    def read(self, first: Any) -> int:
        """The same, also from text by ISO 8601."""
        if not isinstance(first, str):
            return self.position(first)
        try:
            return self.position(date.fromisoformat(first) if self.kind == "days" else datetime.fromisoformat(first))
        except ValueError as error:
            raise InvalidParams(f"first={first!r:.100} is no {'date' if self.kind == 'days' else 'time'}") from error

    def start_of(self, position: int) -> date | datetime | None:
        """A position as users and suppliers are told it."""
        match self.kind:
            case "days":
                return day_at(position)
            case "slots":
                return MOMENT_0 + timedelta(microseconds=position * self.every)
            case "one":
                return None


one = Axis("one", 1)
"""One cell for each item: catalogue prices, flights."""


def days(count: int) -> Axis:
    """A cell for each day, `count` of them from the local today on."""
    return _checked(Axis("days", count))


def slots(every: float | str, ahead: float | str) -> Axis:
    """A cell for each slot of `every` ("30m"), as far ahead as `ahead` ("14d"): tickets, tables."""
    length, horizon = microseconds(every), microseconds(ahead)
    if length < SHORTEST_SLOT or horizon % length:
        raise DefinitionError(f"slots: {ahead!r} is not a whole number of {every!r}, of a second at least")
    return _checked(Axis("slots", horizon // length, length))


def position_of(day: date) -> int:
    """Where a day stands on an axis of days."""
    return day.toordinal() - EPOCH


def day_at(position: int) -> date:
    """The day that stands at a position of an axis of days."""
    return date.fromordinal(position + EPOCH)


def _checked(axis: Axis) -> Axis:
    if isinstance(axis.count, bool) or not isinstance(axis.count, int) or not 1 <= axis.count < LONGEST:
        raise DefinitionError(f"an axis has from 1 to {LONGEST - 1} cells, not {axis.count!r}")
    return axis
