"""The data of the benchmarks of mirrors: hotels with rooms, what suppliers say of them, and how that changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

ROOMS, DAYS = 10, 60
CHANGED = 0.02
"""Share of a round's cells that are otherwise than in the round before."""

BURST = 12
"""Days in a row on which all rooms of a hotel change in a burst."""

Items = dict[str, dict[str, list[Any]]]
"""An answer about a hotel: of each room lists of `DAYS` values."""


def room(hotel: int, number: int) -> str:
    return f"h{hotel}-r{number}"


class Rooms:
    """What a supplier says of so many hotels: of each room and night a price, a stock, and whether it is open."""

    def __init__(self, hotels: int, seed: int = 1) -> None:
        self.hotels = hotels
        self.today = datetime.now(UTC).date()
        self._chance = Random(seed)
        self.prices = [[self._chance.randrange(60, 900) for _ in range(ROOMS * DAYS)] for _ in range(hotels)]

    @property
    def size(self) -> int:
        """All cells."""
        return self.hotels * ROOMS * DAYS

    def change(self) -> None:
        """Some prices are otherwise, drawn one by one of each hotel's."""
        for of_hotel in self.prices:
            for at in self._chance.sample(range(len(of_hotel)), round(CHANGED * len(of_hotel))):
                of_hotel[at] += 1

    def burst(self) -> None:
        """As many prices are otherwise, in some hotels, of all their rooms and on days in a row."""
        hotels = round(CHANGED * self.size / (ROOMS * BURST))
        for hotel in self._chance.sample(range(self.hotels), hotels):
            first = self._chance.randrange(DAYS - BURST + 1)
            for number in range(ROOMS):
                for at in range(number * DAYS + first, number * DAYS + first + BURST):
                    self.prices[hotel][at] += 1

    def items(self, hotel: int) -> Items:
        """The answer about a hotel, each value an object of its own, as one that has just been decoded."""
        prices = self.prices[hotel]
        return {
            room(hotel, at): {
                "price": [price + 0 for price in prices[at * DAYS : at * DAYS + DAYS]],
                "stock": [3] * DAYS,
                "open": [True] * DAYS,
            }
            for at in range(ROOMS)
        }

    def cells(self, hotel: int) -> Iterator[tuple[str, date, int, int, bool]]:
        """The same answer as a row for each cell."""
        dates = [self.today + timedelta(days=day) for day in range(DAYS)]
        for item, fields in self.items(hotel).items():
            for day, values in enumerate(zip(fields["price"], fields["stock"], fields["open"], strict=True)):
                yield item, dates[day], *values
