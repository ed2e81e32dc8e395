"""Run every order of every pair on both servers, and count them: `python -m tests.interleavings.prove`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random

from tests.interleavings.arena import Arena
from tests.interleavings.counting import Counted, count
from tests.interleavings.databases import SERVERS, a_database
from tests.interleavings.joined import ISOLATIONS, OTHERS, joined_pair
from tests.interleavings.pairs import PAIRS
from tests.interleavings.users import User
from tests.prove.telling import Told, tell

SMALL = 4
"""Pairs on each server of a small run, drawn by its seed, beside the joined starts."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    options = parse(arguments)
    began = time.monotonic()
    counted: list[Counted] = []
    interrupted = False
    try:
        for dialect in SERVERS:
            with a_database(dialect) as url:
                asyncio.run(run(url, chosen(options), counted))
    except KeyboardInterrupt:
        interrupted = True
    return tell(told(counted, options.seed, time.monotonic() - began, interrupted=interrupted))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help=f"{SMALL} pairs on each server")
    parser.add_argument("--seed", type=int, default=0, help="draws the pairs of a small run")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> list[str]:
    """The names of the pairs to run."""
    names = [pair.name for pair in PAIRS]
    return Random(options.seed).sample(names, SMALL) if options.small else names


async def run(url: str, names: list[str], counted: list[Counted]) -> None:
    """Count on one server; what is counted is there also when this is cancelled."""
    arena = Arena(url)
    await arena.open()
    try:
        async for one in each(arena, names):
            print(one, file=sys.stderr, flush=True)
            counted.append(one)
    finally:
        await arena.close()


async def each(arena: Arena, names: list[str]) -> AsyncIterator[Counted]:
    for pair in PAIRS:
        if pair.name in names:
            yield await count(arena, pair)
    for isolation in ISOLATIONS:
        users = [User(arena.url, isolation) for _ in range(2)]
        for user in users:
            await user.connect()
        for other in OTHERS:
            yield await count(arena, joined_pair(users, other))
        for user in users:
            await user.close()


def told(counted: list[Counted], seed: int, seconds: float, *, interrupted: bool) -> Told:
    """The last line. A pair with fewer orders than there must be has not been shown."""
    by_dialect: Counter[str] = Counter()
    for one in counted:
        by_dialect[f"on {one.dialect}"] += one.orders
    counts = {"interleavings": by_dialect.total(), "pairs": len(counted), **by_dialect}
    never = [f"{one.dialect} {one.pair.name}: {one.orders} orders" for one in counted if one.orders < one.pair.least]
    broken = [f"{one.dialect} {one.pair.name}: {what}" for one in counted for what in one.broken]
    each_pair = {f"{one.dialect} {one.pair.name}": one.orders for one in counted}
    return Told("interleavings", counts, never, broken, [seed], seconds, interrupted, {"orders": each_pair})


if __name__ == "__main__":
    sys.exit(main())
