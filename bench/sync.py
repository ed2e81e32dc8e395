"""Storing what suppliers answer: ours beside a row for each cell, by COPY and upsert, and beside dlt's merge.

`python -m bench.sync [--hotels N] [--rounds N]`, on a private PostgreSQL that flushes at every commit. Hotels have 10
rooms and 60 days. All hotels are stored, 600 at a time: a first time (*load*), again as they were
(*unchanged*), with 2 % of the cells changed that are drawn one by one (*random*), and with as many changed in hotels'
bursts of 12 days (*clustered*). No side is told what has changed. What is timed begins with answers in memory, in the
form that each side takes: ours as suppliers' classes return them, COPY as tuples, dlt as Arrow tables, of which it
loads all in one package. Ours also checks the answers, and keeps when each cell was seen, what has changed, and in what
order; the others keep only the values. The catalogue is stored before. One line for each case: cells per second, each
the median of the rounds, and ours to each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import asyncpg

from bench.mirrors import Writer, mirror
from bench.peer import environment
from bench.rooms import Rooms
from bench.servers import CountingPostgres, running
from bench.turns import HERE, run, tell

BATCH = 600
"""Hotels that are stored at a time: 6,000 rooms. Ours compares 1,500 of them in a transaction."""

CASES: dict[str, Callable[[Rooms], None]] = {
    "load": lambda _: None,
    "unchanged": lambda _: None,
    "random": Rooms.change,
    "clustered": Rooms.burst,
}
"""What has become of the hotels before each case, in this order."""

TABLE = """
    CREATE TABLE IF NOT EXISTS cell (
        item text, day date, price int NOT NULL, stock smallint NOT NULL, open boolean NOT NULL, PRIMARY KEY (item, day)
    )
"""
UPSERT = """
    ON CONFLICT (item, day) DO UPDATE SET price = excluded.price, stock = excluded.stock, open = excluded.open
    WHERE (cell.price, cell.stock, cell.open) IS DISTINCT FROM (excluded.price, excluded.stock, excluded.open)
"""
REQUIREMENTS = HERE / "dlt_requirements.txt"

T = TypeVar("T")


def batches(hotels: int) -> Iterator[range]:
    """The hotels of each transaction."""
    return (range(at, min(at + BATCH, hotels)) for at in range(0, hotels, BATCH))


async def in_cases(
    server: CountingPostgres,
    hotels: int,
    prepare: Callable[[Rooms, Sequence[int]], T],
    store: Callable[[Rooms, T], Awaitable[None]],
) -> dict[str, float]:
    """Cells per second of storing all answers, in each case; what `prepare` makes of them is not timed."""
    rooms, rates = Rooms(hotels), {}
    for case, change in CASES.items():
        change(rooms)
        if case != "load":
            # It forks: answers made before would have to be copied, page by page, when they are first touched.
            server.settle()
        prepared = [prepare(rooms, some) for some in batches(hotels)]
        gc.collect()
        gc.freeze()
        rates[case] = rooms.size / await seconds(rooms, prepared, store)
    return rates


async def seconds(rooms: Rooms, prepared: Sequence[T], store: Callable[[Rooms, T], Awaitable[None]]) -> float:
    """How long it takes to store all that is prepared. Nothing of the case before is freed meanwhile."""
    begun = time.perf_counter()
    for some in prepared:
        await store(rooms, some)
    return time.perf_counter() - begun


async def ours(server: CountingPostgres, hotels: int) -> dict[str, float]:
    """A mirror's writer."""
    app, made = mirror(server.url(), hotels)
    async with app:
        writer = await Writer.begin(made)
        return await in_cases(
            server,
            hotels,
            lambda rooms, some: [(hotel, rooms.items(hotel)) for hotel in some],
            lambda rooms, answers: writer.publish(answers, rooms.today),
        )


async def upsert(server: CountingPostgres, hotels: int) -> dict[str, float]:
    """COPY into a temporary table, then one upsert of all its rows."""
    host, port, user, database = server.address
    connection: Any = await asyncpg.connect(host=host, port=port, user=user, database=database)
    await connection.execute(TABLE)
    await connection.execute("CREATE TEMP TABLE told (LIKE cell)")

    async def store(_: Rooms, rows: Sequence[tuple[Any, ...]]) -> None:
        async with connection.transaction():
            await connection.execute("TRUNCATE told")
            await connection.copy_records_to_table("told", records=rows)
            await connection.execute(f"INSERT INTO cell SELECT * FROM told {UPSERT}")

    try:
        return await in_cases(
            server, hotels, lambda rooms, some: [row for hotel in some for row in rooms.cells(hotel)], store
        )
    finally:
        await connection.close()


def dlt(server: CountingPostgres, hotels: int) -> dict[str, float]:
    """Merging by dlt, in an environment of its own; nothing without its packages."""
    python = environment("dlt", REQUIREMENTS)
    if python is None:
        return {}
    _, port, user, database = server.address
    url = f"postgresql://{user}:trusted@127.0.0.1:{port}/{database}"
    return run("-m", "bench.sync_dlt", url, hotels, python=str(python))


SIDES: dict[str, Callable[[CountingPostgres, int], dict[str, float]]] = {
    "ours": lambda server, hotels: asyncio.run(ours(server, hotels)),
    "upsert": lambda server, hotels: asyncio.run(upsert(server, hotels)),
    "dlt": dlt,
}


def main() -> None:
    """Run the sides in turn, each on an empty server, and print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hotels", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    options = parser.parse_args()
    rates: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for side in options.sides if number % 2 == 0 else reversed(options.sides):
            with running(CountingPostgres()) as server:
                for case, rate in SIDES[side](server, options.hotels).items():
                    rates.setdefault((case, side), []).append(rate)
                    tell(f"round {number + 1} {side:8} {case:10} {rate:12,.0f} cells/s")
    for case in CASES:
        found = {side: statistics.median(rates[case, side]) for side in options.sides if (case, side) in rates}
        mine, told = found.pop("ours", None), {side: round(rate) for side, rate in found.items()}
        ratios = {f"ratio_{side}": round(mine / rate, 1) for side, rate in found.items()} if mine else {}
        print(json.dumps({"bench": "sync", "case": case, **({"ours": round(mine)} if mine else {}), **told, **ratios}))


if __name__ == "__main__":
    main()
