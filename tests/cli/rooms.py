"""A service with a mirror, copied beside each test's database."""

from __future__ import annotations

import os

import tieout
from tieout.mirror import Fetched, Group, days, dictionary, flag, money, shape, tier, tiers

app = tieout.App(os.environ["SHOP_DB"])
rooms = app.mirror(
    "rooms",
    axis=days(5),
    fields={"price": money(), "open": flag(), "rules": dictionary()},
    policy=tiers(all=tier(days(5), every="1d")),
)


@rooms.supplier("acme", "1000/s")
class Acme:
    shapes = (shape("hotel", max_days=5),)

    async def catalogue(self):
        yield [Group("h1", ["h1-double"]), Group("h2", ["h2-twin"])]

    async def fetch(self, group, first, count):
        item = {"h1": "h1-double", "h2": "h2-twin"}[group]
        return Fetched({item: await self.check(item, first, count)})

    async def check(self, item, first, count):
        return {"price": [100] * count, "open": [True] * count, "rules": [{"cancel": "free"}] * count}
