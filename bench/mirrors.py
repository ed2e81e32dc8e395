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
