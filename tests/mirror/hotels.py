"""A supplier for tests: a few hotels whose prices can be changed, which counts what it is asked and can misbehave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tieout.mirror import Fetched, Group, days, dictionary, flag, int16, money, shape, tier, tiers

FIELDS = {"price": money(), "stock": int16(), "open": flag(), "rules": dictionary()}
AXIS = days(20)
OFTEN = tiers(all=tier(days(20), every="1s"))
RARELY = tiers(all=tier(days(20), every="1d"))


def today():
    return datetime.now(UTC).date()


class Hotels:
    """Hotels h0, h1, … with two rooms each; every night costs 100 until it is changed."""

    shapes = (shape("hotel", max_days=10),)

    def __init__(self, hotels=3):
        self.hotels = {f"h{number}": [f"h{number}-a", f"h{number}-b"] for number in range(hotels)}
        self.prices = {}
        self.closed = set()
        self.asked = []
        self.checked = []
        self.will = []
        self.busy = 0
        self.most_busy = 0

    def price(self, item, day):
        return self.prices.get((item, day), 100)

    def cells(self, item, first, count):
        nights = [first + timedelta(days=number) for number in range(count)]
        gone = [(item, night) in self.closed for night in nights]
        return {
            "price": [None if shut else self.price(item, night) for night, shut in zip(nights, gone, strict=True)],
            "stock": [3] * count,
            "open": [not shut for shut in gone],
            "rules": [{"cancel": "free"}] * count,
        }

    async def catalogue(self):
        for name, rooms in self.hotels.items():
            yield [Group(name, rooms)]

    async def fetch(self, group, first, count):
        self.asked.append((group, first, count))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(0)
            if self.will:
                return await self.will.pop(0)(group, first, count)
            return self.answer(group, first, count)
        finally:
            self.busy -= 1

    def answer(self, group, first, count, *, complete=True):
        return Fetched({item: self.cells(item, first, count) for item in self.hotels[group]}, complete)

    async def check(self, item, first, count):
        self.checked.append((item, first, count))
        return self.cells(item, first, count)
