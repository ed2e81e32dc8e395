"""Serve them: `python -m supplier_service --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .faults import Faults
from .gauge import Limit
from .inventory import Inventory, Size
from .market import Market
from .pushes import Door, Pushes
from .routes import Suppliers
from .wire import serve

TICK_SECONDS = 0.1
"""How often truth moves on."""

PUSHES = 5
"""One supplier in so many pushes what has changed."""


def arguments() -> argparse.Namespace:
    """What was said on the command line."""
    parser = argparse.ArgumentParser(description="Suppliers of hotel rooms that fail on purpose.")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--suppliers", type=int, default=5)
    parser.add_argument("--hotels", type=int, default=60, help="of each supplier")
    parser.add_argument("--rooms", type=int, default=10, help="room types of each hotel")
    parser.add_argument("--bursts", type=float, default=1.0, help="bursts of changes that begin in a second")
    parser.add_argument("--limit", type=int, default=60, help="queries that each supplier allows in any window")
    parser.add_argument("--window", type=float, default=60.0, help="length of that window in seconds")
    parser.add_argument(
        "--agreed", type=float, default=2.0, help="seconds within which they answer, unless they are slow"
    )
    parser.add_argument("--latency", type=float, default=0.02, help="seconds after which they usually answer")
    parser.add_argument("--door", help="the URL to which every fifth supplier pushes; without it nobody does")
    parser.add_argument("--secret", default="", help="what the keys of those that push are made of, in hex")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser.parse_args()


async def run(said: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if said.tied:
        loop.add_reader(sys.stdin.fileno(), os._exit, 1)
    size = Size(said.hotels, said.rooms)
    inventories = [Inventory(f"s{n:03d}", n, size, said.seed) for n in range(said.suppliers)]
    market = Market(inventories, said.bursts, said.seed)
    limit = Limit(said.limit, said.window)
    suppliers = Suppliers(inventories, limit, Faults(said.seed), latency=said.latency, agreed=said.agreed)

    pushes = None
    if said.door:
        door = Door(said.door, bytes.fromhex(said.secret))
        pushes = suppliers.pushes = Pushes(door, inventories[PUSHES - 1 :: PUSHES], said.seed)

    async def change() -> None:
        pushing = None if pushes is None else asyncio.create_task(pushes.run())
        before = time.monotonic()
        while not stop.is_set():
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            suppliers.moved += market.move(now - before)
            before = now
            if pushing is not None and pushing.done():
                pushing.result()

    await serve(suppliers.handle, said.port, change)


if __name__ == "__main__":
    asyncio.run(run(arguments()))
