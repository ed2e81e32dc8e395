"""The data of the benchmarks of mirrors: hotels with rooms, what suppliers say of them, and how that changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import tieout
from tieout.coordination.lease import Lease
from tieout.mirror import Fetched, Group, Mirror, days, flag, int16, money, shape, tier, tiers
from tieout.mirror.copying import Copy
from tieout.mirror.observed import Observed

ROOMS, DAYS = 10, 60
CHANGED = 0.02
"""Share of a round's cells that are otherwise than in the round before."""


def room(hotel: int, number: int) -> str:
    return f"h{hotel}-r{number}"


class Rooms:
    """What a supplier says of so many hotels: of each room and night a price, a stock, and whether it is open."""

    def __init__(self, hotels: int, seed: int = 1) -> None:
        self.hotels = hotels
        self.today = datetime.now(UTC).date()
        self._chance = Random(seed)
        self.prices = [[100 + hotel % 400] * (ROOMS * DAYS) for hotel in range(hotels)]

    def change(self) -> None:
        """Another round: some prices are otherwise."""
        for of_hotel in self.prices:
            for _ in range(round(CHANGED * len(of_hotel))):
                of_hotel[self._chance.randrange(len(of_hotel))] += 1

    def items(self, hotel: int) -> dict[str, dict[str, list[Any]]]:
        """The answer about a hotel: lists of `DAYS` values for each room."""
        prices = self.prices[hotel]
        return {
            room(hotel, at): {
                "price": prices[at * DAYS : at * DAYS + DAYS],
                "stock": [3] * DAYS,
                "open": [True] * DAYS,
            }
            for at in range(ROOMS)
        }

    def cells(self, hotel: int) -> Iterator[tuple[str, date, int, int, bool]]:
        """The same answer as a row for each cell."""
        for item, fields in self.items(hotel).items():
            for day, values in enumerate(zip(fields["price"], fields["stock"], fields["open"], strict=True)):
                yield item, self.today + timedelta(days=day), *values


class Catalogue:
    """A supplier of which only the catalogue is asked."""

    shapes = (shape("hotel", max_days=DAYS),)

    def __init__(self, hotels: int) -> None:
        self._hotels = hotels

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        yield [Group(f"h{hotel}", [room(hotel, at) for at in range(ROOMS)]) for hotel in range(self._hotels)]

    async def fetch(self, group: str, first: date, count: int) -> Fetched:
        raise NotImplementedError

    async def check(self, item: str, first: date, count: int) -> None:
        return None


def mirror(url: str, hotels: int) -> tuple[tieout.App, Mirror]:
    """An App with a mirror that follows nobody by itself."""
    app = tieout.App(url, sweep=False, migrate=True)
    made = app.mirror(
        "rooms",
        axis=days(DAYS),
        fields={"price": money(), "stock": int16(), "open": flag()},
        policy=tiers(all=tier(days(DAYS), every="1d")),
    )
    made.supplier("acme", "1000/s")(Catalogue(hotels))
    return app, made


class Writer:
    """The copy's only writer, led by hand."""

    def __init__(self, made: Mirror, lease: Lease, copy: Copy) -> None:
        self.following = made.following("acme")
        self.lease, self.copy = lease, copy

    @classmethod
    async def begin(cls, made: Mirror) -> Writer:
        """Take the lease and store the catalogue."""
        following = made.following("acme")
        lease = await following.world.leases.take("bench")
        assert lease is not None
        copy = await following.load()
        return cls(made, await following.read_catalogue(lease, copy), copy)

    async def publish(self, rooms: Rooms, hotels: Sequence[int]) -> None:
        """Merge the supplier's answers about some hotels."""
        first = self.following.layout.axis.position(rooms.today)
        start, end = self.following.moments.earliest(), self.following.moments.latest()
        observed = [
            Observed(f"h{hotel}", first, DAYS, start, end, rooms.items(hotel), "sync", complete=True, whole=True)
            for hotel in hotels
        ]
        self.lease = (await self.following.publish(self.lease, self.copy, observed)).lease
