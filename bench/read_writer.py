"""Who writes while `bench.read` searches: `python -m bench.read_writer URL HOTELS SUPPLIERS RATE`.

It stores all hotels of all suppliers, and prints a line. Then it stores them again and again, `RATE` hotels a second,
each time with 2 % of their prices changed, until it is stopped.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

import numpy as np

from bench.mirrors import Writer, hotels_of, mirror
from bench.rooms import CHANGED, DAYS, ROOMS, Items, room

BATCH = 25
"""Hotels of one transaction while others search: what a supplier answers in some seconds."""

LOADED = 150
"""Hotels of one transaction before."""


class Prices:
    """What all hotels cost."""

    def __init__(self, hotels: int) -> None:
        self._chance = np.random.default_rng(7)
        self._prices = self._chance.integers(50, 900, (hotels, ROOMS, DAYS), dtype=np.int32)
        self._open = self._chance.random((hotels, ROOMS, DAYS)) < 0.99

    def change(self, hotels: range) -> None:
        """Some of the prices of some hotels are otherwise."""
        part = self._prices[hotels.start : hotels.stop]
        part += self._chance.random(part.shape) < CHANGED

    def items(self, hotel: int) -> Items:
        """The answer about a hotel."""
        prices, is_open = self._prices[hotel].tolist(), self._open[hotel].tolist()
        return {room(hotel, at): {"price": prices[at], "stock": [3] * DAYS, "open": is_open[at]} for at in range(ROOMS)}


async def write(url: str, hotels: int, suppliers: int, rate: float) -> None:
    """Store everything, and go on."""
    app, made = mirror(url, hotels, suppliers)
    prices, today = Prices(hotels), datetime.now(UTC).date()
    async with app:
        writers = [await Writer.begin(made, f"s{number}") for number in range(suppliers)]

        async def store(number: int, batch: int, pause: float) -> None:
            mine = hotels_of(number, hotels, suppliers)
            for at in range(mine.start, mine.stop, batch):
                due = time.perf_counter() + pause * batch
                some = range(at, min(at + batch, mine.stop))
                if pause:
                    prices.change(some)
                await writers[number].publish([(hotel, prices.items(hotel)) for hotel in some], today)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

        for number in range(suppliers):
            await store(number, LOADED, 0.0)
        print("loaded", flush=True)
        while True:
            for number in range(suppliers):
                await store(number, BATCH, 1 / rate)


if __name__ == "__main__":
    _, url, hotels, suppliers, rate = sys.argv
    asyncio.run(write(url, int(hotels), int(suppliers), float(rate)))
