"""A mirror of the benchmarks' hotels, and its writer, led by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date

import tieout
from bench.rooms import DAYS, ROOMS, Items, room
from tieout.coordination.lease import Lease
from tieout.mirror import Fetched, Group, Mirror, days, flag, int16, money, shape, tier, tiers
from tieout.mirror.copying import Copy
from tieout.mirror.observed import Observed

NAME = "rooms"


class Catalogue:
    """A supplier of some hotels, of which only the catalogue is asked."""

    shapes = (shape("hotel", max_days=DAYS),)

    def __init__(self, hotels: range) -> None:
        self._hotels = hotels

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        yield [Group(f"h{hotel}", [room(hotel, at) for at in range(ROOMS)]) for hotel in self._hotels]

    async def fetch(self, group: str, first: date, count: int) -> Fetched:
        raise NotImplementedError

    async def check(self, item: str, first: date, count: int) -> None:
        return None


def hotels_of(number: int, hotels: int, suppliers: int) -> range:
    """The hotels of one of so many suppliers."""
    each = hotels // suppliers
    return range(number * each, (number + 1) * each)


def mirror(url: str, hotels: int, suppliers: int = 1) -> tuple[tieout.App, Mirror]:
    """An App with a mirror of the suppliers s0, s1, … that follows nobody by itself."""
    app = tieout.App(url, sweep=False, migrate=True)
    made = app.mirror(
        NAME,
        axis=days(DAYS),
        fields={"price": money(), "stock": int16(), "open": flag()},
        policy=tiers(all=tier(days(DAYS), every="1d")),
    )
    for number in range(suppliers):
        made.supplier(f"s{number}", "1000/s")(Catalogue(hotels_of(number, hotels, suppliers)))
    return app, made


class Writer:
    """A copy's only writer, led by hand."""

    def __init__(self, made: Mirror, supplier: str, lease: Lease, copy: Copy) -> None:
        self.following = made.following(supplier)
        self.lease, self.copy = lease, copy

    @classmethod
    async def begin(cls, made: Mirror, supplier: str = "s0") -> Writer:
        """Take the lease and store the catalogue."""
        following = made.following(supplier)
        lease = await following.world.leases.take(f"bench/{supplier}")
        assert lease is not None
        copy = await following.load()
        catalogue = await following.read_catalogue(copy, following.look)
        return cls(made, supplier, await following.store_catalogue(lease, copy, catalogue), copy)

    async def publish(self, answers: Sequence[tuple[int, Items]], today: date) -> None:
        """Merge the supplier's answers about some hotels."""
        first = self.following.layout.axis.position(today)
        start, end = self.following.moments.earliest(), self.following.moments.latest()
        observed = [
            Observed(f"h{hotel}", first, DAYS, start, end, items, "sync", complete=True, whole=True)
            for hotel, items in answers
        ]
        published = await self.following.publish(self.lease, self.copy, observed)
        assert not published.garbled
        self.lease = published.lease
