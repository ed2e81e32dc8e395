"""Reading stays and searching: ours beside SQL over rows for each cell, and beside Redis.

`python -m bench.read [--hotels N] [--reads N] [--rounds N]`, on a private PostgreSQL and Redis. Hotels have 10 rooms,
and 60 days. A *read* is one stay of three nights, its price summed, its least stock and whether it is open, with 16 in
flight: `view` from a view's memory, `copy` from the database, `rows` by one SQL statement over rows for each cell,
`redis` from a hash for each room. A *search* is the 20 cheapest open stays of three nights of all rooms: `view`, and
`rows` by SQL. A view of 300,000 rooms is searched besides. The last line is one JSON object: reads per second,
milliseconds of a search (medians of the rounds), and ours to the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

import asyncpg
import numpy as np
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotThere

from bench.mirrors import Writer, mirror
from bench.rooms import DAYS, ROOMS, Rooms, room
from bench.servers import CountingPostgres, running
from bench.sync import BATCH, TABLE
from bench.turns import tell
from tests.servers.process import free_port
from tieout.mirror import View
from tieout.mirror.calendar import Checks, Layout
from tieout.mirror.columns import Columns
from tieout.mirror.store import GroupRow
from tieout.mirror.suppliers import Following
from tieout.mirror.view import Part

NIGHTS, IN_FLIGHT, SEARCHES = 3, 16, 20
MANY = 300_000
"""Rooms of the largest view: 200 suppliers' together."""

STAY = """
    SELECT sum(price), min(stock), bool_and(open) FROM cell WHERE item = $1 AND day >= $2 AND day < $3
    HAVING count(*) = $4
"""
SEARCH = """
    SELECT item, sum(price) AS price FROM cell WHERE day >= $1 AND day < $2
    GROUP BY item HAVING count(*) = $3 AND bool_and(open) ORDER BY sum(price) LIMIT 20
"""


async def rate(read: Callable[[str], Awaitable[object]], hotels: int, reads: int) -> float:
    """Reads per second of rooms drawn by chance, so many in flight."""
    chance = Random(7)
    names = [room(chance.randrange(hotels), chance.randrange(ROOMS)) for _ in range(reads)]

    async def some(part: list[str]) -> None:
        for name in part:
            await read(name)

    begun = time.perf_counter()
    await asyncio.gather(*(some(names[at::IN_FLIGHT]) for at in range(IN_FLIGHT)))
    return reads / (time.perf_counter() - begun)


async def milliseconds(search: Callable[[], Awaitable[object]]) -> float:
    """The median time of a search."""
    taken = []
    for _ in range(SEARCHES):
        begun = time.perf_counter()
        await search()
        taken.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(taken)


async def ours(url: str, rooms: Rooms, reads: int) -> dict[str, float]:
    """A mirror's copy, and a view of it."""
    app, made = mirror(url, rooms.hotels)
    first = rooms.today + timedelta(days=5)
    async with app:
        writer = await Writer.begin(made)
        for at in range(0, rooms.hotels, BATCH):
            some = range(at, min(at + BATCH, rooms.hotels))
            await writer.publish([(hotel, rooms.items(hotel)) for hotel in some], rooms.today)
        view = await made.view()

        async def from_view(item: str) -> object:
            return view.read("acme", item, first, NIGHTS)

        async def search() -> object:
            return view.search(first, NIGHTS, where={"open": True}, sort="price", limit=20)

        many = many_rooms(made.following("acme"), view)

        async def search_many() -> object:
            return many.search(first, NIGHTS, where={"open": True}, sort="price", limit=20)

        return {
            "view": await rate(from_view, rooms.hotels, reads),
            "copy": await rate(lambda item: made.read("acme", item, first, NIGHTS, refresh=False), rooms.hotels, reads),
            "search_view": await milliseconds(search),
            "search_view_300k": await milliseconds(search_many),
        }


def many_rooms(following: Following, like: View) -> View:
    """A view of `MANY` rooms, filled by chance."""
    layout: Layout = following.layout
    checks = Checks.empty(1, layout.ring, 0).pack()[0]
    groups = [GroupRow(n, f"h{n}", None, None, checks, None) for n in range(MANY // ROOMS)]
    columns = Columns(layout, following.terms, groups, MANY)
    chance, now = np.random.default_rng(7), int(time.time() * 1_000_000)
    columns.roll(now)
    base = int(columns.opens[0])
    for at in range(0, MANY, 10_000):
        cells = layout.empty(10_000, base)
        cells.known[:] = True
        cells.values["price"][:] = chance.integers(50, 900, cells.known.shape)
        cells.values["stock"][:] = 3
        cells.values["open"][:] = chance.random(cells.known.shape) < 0.9
        rows = layout.pack(cells)
        columns.add([((at + i) // ROOMS, at + i, f"r{at + i}", row) for i, row in enumerate(rows)])
    view = View(layout, 86_400.0, lambda: now)
    view.parts["acme"] = Part("acme", columns, {}, 0)
    view.current_at = like.current_at
    return view


async def by_rows(dsn: dict[str, object], rooms: Rooms, reads: int) -> dict[str, float]:
    """SQL over a row for each cell."""
    pool = await asyncpg.create_pool(**dsn, min_size=IN_FLIGHT, max_size=IN_FLIGHT)
    first, last = rooms.today + timedelta(days=5), rooms.today + timedelta(days=5 + NIGHTS)
    try:
        await pool.execute(TABLE)
        async with pool.acquire() as connection:
            for hotel in range(rooms.hotels):
                await connection.copy_records_to_table("cell", records=list(rooms.cells(hotel)))
        await pool.execute("CREATE INDEX cell_day ON cell (day) INCLUDE (item, price, open)")
        await pool.execute("VACUUM ANALYZE cell")
        return {
            "rows": await rate(lambda item: pool.fetchrow(STAY, item, first, last, NIGHTS), rooms.hotels, reads),
            "search_rows": await milliseconds(lambda: pool.fetch(SEARCH, first, last, NIGHTS)),
        }
    finally:
        await pool.close()


async def by_redis(port: int, rooms: Rooms, reads: int) -> dict[str, float]:
    """A hash for each room, with a field for each day."""
    client = Redis(port=port, max_connections=IN_FLIGHT)
    while True:
        try:
            await client.ping()
            break
        except NotThere:
            await asyncio.sleep(0.05)
    days = [(rooms.today + timedelta(days=at)).isoformat() for at in range(DAYS)]
    async with client:
        for hotel in range(rooms.hotels):
            pipe = client.pipeline(transaction=False)
            for item, fields in rooms.items(hotel).items():
                cells = zip(fields["price"], fields["stock"], fields["open"], strict=True)
                pipe.hset(item, mapping={day: f"{p},{s},{int(o)}" for day, (p, s, o) in zip(days, cells, strict=True)})
            await pipe.execute()

        async def read(item: str) -> object:
            nights = [night.split(b",") for night in await client.hmget(item, days[5 : 5 + NIGHTS])]
            prices, stocks, opens = zip(*nights, strict=True)
            return sum(map(int, prices)), min(map(int, stocks)), all(one == b"1" for one in opens)

        return {"redis": await rate(read, rooms.hotels, reads)}


def redis_of(rooms: Rooms, reads: int) -> dict[str, float]:
    """The same, on a Redis of its own that keeps nothing on disk."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        try:
            return asyncio.run(by_redis(port, rooms, reads))
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    """Run the sides in turn and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hotels", type=int, default=300)
    parser.add_argument("--reads", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rooms, found = Rooms(options.hotels), dict[str, list[float]]()
    for number in range(options.rounds):
        with running(CountingPostgres()) as server:
            host, port, user, database = server.address
            dsn = {"host": host, "port": port, "user": user, "database": database}
            told = asyncio.run(ours(server.url(pool=IN_FLIGHT), rooms, options.reads))
            told |= asyncio.run(by_rows(dsn, rooms, options.reads)) | redis_of(rooms, options.reads)
        for name, value in told.items():
            found.setdefault(name, []).append(value)
            tell(f"round {number + 1} {name:18} {value:10.1f} {'ms' if name.startswith('search') else '/s'}")
    medians = {name: round(statistics.median(values), 1) for name, values in found.items()}
    ratios = {
        "ratio_view_redis": round(medians["view"] / medians["redis"], 1),
        "ratio_view_rows": round(medians["view"] / medians["rows"], 1),
        "ratio_copy_rows": round(medians["copy"] / medians["rows"], 2),
        "ratio_search_rows": round(medians["search_rows"] / medians["search_view"], 1),
    }
    print(json.dumps({"bench": "read", "items": options.hotels * ROOMS, **medians, **ratios}))


if __name__ == "__main__":
    main()
