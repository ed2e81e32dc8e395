"""What is true: prices, stock and what is closed of every room and day of one supplier, and what it was before."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DAYS = 64
"""Days that are kept, from the day before the start on: 60 of them are open in every zone, also past a midnight."""

RULES = (
    {"cancel": "free until 18:00", "meal": "breakfast"},
    {"cancel": "free until 18:00", "meal": "none"},
    {"cancel": "first night", "meal": "breakfast"},
    {"cancel": "no refund", "meal": "none"},
    {"cancel": "no refund", "meal": "half board"},
)
CLOSED_SHARE = 0.04
HIGHEST = 1_000_000_00
"""No price is above this, in minor units."""


class Size(NamedTuple):
    """Hotels of a supplier, and room types of each hotel."""

    hotels: int
    rooms: int


class Change(NamedTuple):
    """What cells of one room were until a moment (microseconds since 1970): from day `first` on, an index."""

    until: int
    row: int
    first: int
    price: list[int]
    stock: list[int]
    closed: list[bool]


class Inventory:
    """One supplier's cells: arrays of shape (rooms of all hotels, days)."""

    def __init__(self, name: str, number: int, size: Size, seed: int) -> None:
        chance = np.random.default_rng([seed, number])
        self.name = name
        self.size = size
        self.first = datetime.now(UTC).date() - timedelta(days=1)
        rows = size.hotels * size.rooms
        level = chance.lognormal(9.6, 0.5, (rows, 1))
        week = 1 + 0.2 * np.isin((np.arange(DAYS) + self.first.weekday()) % 7, (4, 5))
        self.price: NDArray[np.int32] = (level * week * chance.uniform(0.9, 1.1, (rows, DAYS))).astype(np.int32)
        self.stock = chance.integers(1, 12, (rows, DAYS), dtype=np.int16)
        self.closed = chance.random((rows, DAYS)) < CLOSED_SHARE
        self.rule = chance.integers(0, len(RULES), rows)
        self.changes: list[Change] = []

    def hotel(self, number: int) -> str:
        return f"{self.name}-h{number:04d}"

    def room(self, row: int) -> str:
        return f"{self.hotel(row // self.size.rooms)}-r{row % self.size.rooms}"

    def rows_of_hotel(self, hotel: str) -> range | None:
        """Which rows are of a hotel; None for one that is not known."""
        number = _number(hotel, f"{self.name}-h")
        if number is None or number >= self.size.hotels:
            return None
        return range(number * self.size.rooms, (number + 1) * self.size.rooms)

    def row_of_room(self, room: str) -> int | None:
        """Which row is of a room; None for one that is not known."""
        hotel, _, last = room.rpartition("-")
        rows, at = self.rows_of_hotel(hotel), _number(last, "r")
        return None if rows is None or at is None or at >= len(rows) else rows[at]

    def day_index(self, first: date, days: int) -> int | None:
        """Where a stretch of days begins; None when not all of it is kept."""
        at = (first - self.first).days
        return at if at >= 0 and days >= 1 and at + days <= DAYS else None

    def cells(self, rows: range, first: int, days: int) -> dict[str, dict[str, Any]]:
        """What is told of some rooms: a price is null where the room is not for sale."""
        part = slice(rows.start, rows.stop), slice(first, first + days)
        prices, stocks = self.price[part].tolist(), self.stock[part].tolist()
        for row, day in np.argwhere(self.closed[part]).tolist():
            prices[row][day] = None
        told = zip(rows, prices, stocks, strict=True)
        return {self.room(row): {"price": p, "stock": s, "rule": RULES[self.rule[row]]} for row, p, s in told}

    def change(
        self, row: int, first: int, days: int, *, factor: float = 1.0, sold: int = 0, close: bool = False
    ) -> None:
        """Change some days of a room at once, and keep what they were; closed ones open unless told to close."""
        part = row, slice(first, first + days)
        was = self.price[part].tolist(), self.stock[part].tolist(), self.closed[part].tolist()
        self.price[part] = np.clip(self.price[part] * factor, 100, HIGHEST)
        self.stock[part] -= sold
        gone = self.stock[part] <= 0
        self.closed[part] = gone | close
        self.stock[part] = np.where(gone, 6, self.stock[part])
        self.changes.append(Change(time.time_ns() // 1_000, row, first, *was))

    def truth(self) -> dict[str, Any]:
        """Everything, as it is and as it was."""
        return {
            "first": self.first.isoformat(),
            "rooms": [self.room(row) for row in range(len(self.rule))],
            "price": self.price.tolist(),
            "stock": self.stock.tolist(),
            "closed": self.closed.tolist(),
            "rule": [RULES[rule] for rule in self.rule],
            "changes": self.changes,
        }


def _number(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix)
    return int(digits) if name.startswith(prefix) and digits.isdecimal() else None
