"""Storing what suppliers answer: ours beside rows for each cell, by COPY and upsert, and by upserts of many rows.

`python -m bench.sync [--hotels N] [--rounds N]`, on a private PostgreSQL that flushes at every commit. Hotels have 10
rooms and 60 days. First everything is loaded, then everything is answered again with 2 % of the cells changed, in
transactions of 150 hotels. The last line is one JSON object: cells per second of each side (medians of the rounds), and
ours to each. Ours checks the answers and keeps when each cell was seen, which answer is newer, and what changed; the
others keep only the values.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from bench.rooms import DAYS, ROOMS, Rooms, Writer, mirror
from bench.servers import CountingPostgres, running
from bench.turns import tell

BATCH = 150
"""Hotels of one transaction: 1,500 rooms."""

TABLE = """
    CREATE TABLE IF NOT EXISTS cell (
        item text, day date, price int NOT NULL, stock smallint NOT NULL, open boolean NOT NULL, PRIMARY KEY (item, day)
    )
"""
UPSERT = """
    ON CONFLICT (item, day) DO UPDATE SET price = excluded.price, stock = excluded.stock, open = excluded.open
    WHERE (cell.price, cell.stock, cell.open) IS DISTINCT FROM (excluded.price, excluded.stock, excluded.open)
"""

Store = Callable[[Rooms, Sequence[int]], Awaitable[None]]


async def timed(store: Store, rooms: Rooms) -> float:
    """Cells per second of storing all answers once."""
    begun = time.perf_counter()
    for at in range(0, rooms.hotels, BATCH):
        await store(rooms, range(at, min(at + BATCH, rooms.hotels)))
    return rooms.hotels * ROOMS * DAYS / (time.perf_counter() - begun)


async def load_and_again(store: Store, hotels: int) -> dict[str, float]:
    """The rates of the first load, and of the same answers with some changed."""
    rooms = Rooms(hotels)
    loaded = await timed(store, rooms)
    rooms.change()
    return {"load": loaded, "again": await timed(store, rooms)}


async def ours(url: str, hotels: int) -> dict[str, float]:
    """A mirror's writer."""
    app, made = mirror(url, hotels)
    async with app:
        writer = await Writer.begin(made)
        return await load_and_again(writer.publish, hotels)


async def by_copy(dsn: dict[str, object], hotels: int) -> dict[str, float]:
    """COPY into a temporary table, then one upsert of all its rows."""
    connection = await asyncpg.connect(**dsn)
    await connection.execute(TABLE)
    await connection.execute("CREATE TEMP TABLE told (LIKE cell)")

    async def store(rooms: Rooms, some: Sequence[int]) -> None:
        rows = [row for hotel in some for row in rooms.cells(hotel)]
        async with connection.transaction():
            await connection.execute("TRUNCATE told")
            await connection.copy_records_to_table("told", records=rows)
            await connection.execute(f"INSERT INTO cell SELECT * FROM told {UPSERT}")

    try:
        return await load_and_again(store, hotels)
    finally:
        await connection.close()


async def by_upserts(dsn: dict[str, object], hotels: int) -> dict[str, float]:
    """One upsert for each cell, many at a time."""
    connection = await asyncpg.connect(**dsn)
    await connection.execute(TABLE)

    async def store(rooms: Rooms, some: Sequence[int]) -> None:
        rows = [row for hotel in some for row in rooms.cells(hotel)]
        async with connection.transaction():
            await connection.executemany(f"INSERT INTO cell VALUES ($1, $2, $3, $4, $5) {UPSERT}", rows)

    try:
        return await load_and_again(store, hotels)
    finally:
        await connection.close()


async def run(side: str, url: str, dsn: dict[str, object], hotels: int) -> dict[str, float]:
    """One side, on an empty server."""
    match side:
        case "ours":
            return await ours(url, hotels)
        case "copy":
            return await by_copy(dsn, hotels)
        case _:
            return await by_upserts(dsn, hotels)


def main() -> None:
    """Run the sides in turn and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hotels", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {}
    for number in range(options.rounds):
        sides = ("ours", "copy", "upserts") if number % 2 == 0 else ("upserts", "copy", "ours")
        for side in sides:
            with running(CountingPostgres()) as server:
                host, port, user, database = server.address
                dsn = {"host": host, "port": port, "user": user, "database": database}
                for part, rate in asyncio.run(run(side, server.url(), dsn, options.hotels)).items():
                    rates.setdefault(f"{side}_{part}", []).append(rate)
                    tell(f"round {number + 1} {side:8} {part:6} {rate:10.0f} cells/s")
    found = {name: round(statistics.median(of_side)) for name, of_side in sorted(rates.items())}
    ratios = {
        f"ratio_{side}_{part}": round(found[f"ours_{part}"] / found[f"{side}_{part}"], 2)
        for side in ("copy", "upserts")
        for part in ("load", "again")
    }
    print(json.dumps({"bench": "sync", "db": "postgres", "cells": options.hotels * ROOMS * DAYS, **found, **ratios}))


if __name__ == "__main__":
    main()
