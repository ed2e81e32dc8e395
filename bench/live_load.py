"""Rows committed at a rate, for `bench.live`: `python -m bench.live_load UP|DOWN FIRST LAST ROWS_A_SECOND`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncmy
import asyncpg

from bench.live_sources import TABLES

TICK = 0.02
"""Seconds between two transactions, whose size makes the rate."""

Insert: TypeAlias = Callable[[int, int], Awaitable[object]]
ROW = "n, 'done', 'umbrella', 1 + n % 9, 12.5 + n % 100"


async def load(insert: Insert, first: int, last: int, rate: float) -> None:
    """Commit rows `first` to `last`."""
    begun = time.monotonic()
    done = first - 1
    while done < last:
        await asyncio.sleep(TICK)
        until = min(last, first + int((time.monotonic() - begun) * rate))
        if until > done:
            await insert(done + 1, until)
            done = until


async def postgres(url: str, table: str) -> Insert:
    """Inserts into PostgreSQL."""
    connection = await asyncpg.connect(url, server_settings={"synchronous_commit": "off"})
    sql = f"INSERT INTO {table} SELECT {ROW}, clock_timestamp() FROM generate_series($1::bigint, $2) n"
    return lambda first, until: connection.execute(sql, first, until)


async def mariadb(url: str, table: str) -> Insert:
    """Inserts into MariaDB, whose server flushes as it does."""
    at = urlsplit(url)
    connection = await asyncmy.connect(
        host=at.hostname, port=at.port, user=at.username, db=at.path.strip("/"), autocommit=True
    )

    async def insert(first: int, until: int) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute(
                f"INSERT INTO {table} SELECT {ROW}, SYSDATE(6) FROM (SELECT seq AS n FROM seq_{first}_to_{until}) s"
            )

    return insert


async def main() -> None:
    """Load one side."""
    name, first, last, rate = sys.argv[1:]
    url, table = os.environ[f"LIVE_{name}"], TABLES[name]
    insert = await (mariadb if url.startswith("mysql") else postgres)(url, table)
    await load(insert, int(first), int(last), float(rate))


if __name__ == "__main__":
    asyncio.run(main())
