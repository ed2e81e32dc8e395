"""Rows committed at a rate, for `bench.live`: `python -m bench.live_load UP|DOWN FIRST LAST ROWS_A_SECOND`."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import asyncpg

TICK = 0.02
"""Seconds between two transactions, whose size makes the rate."""

INSERT = {
    "UP": "INSERT INTO change SELECT n, 'done', 'umbrella', 1 + n % 9, 12.5 + n % 100, clock_timestamp()"
    " FROM generate_series($1::bigint, $2) n",
    "DOWN": "INSERT INTO prize SELECT n, 'issued', 'umbrella', 1 + n % 9, 12.5 + n % 100, clock_timestamp()"
    " FROM generate_series($1::bigint, $2) n",
}


async def load(name: str, first: int, last: int, rate: float) -> None:
    """Commit rows `first` to `last`."""
    connection = await asyncpg.connect(os.environ[f"LIVE_{name}"], server_settings={"synchronous_commit": "off"})
    begun = time.monotonic()
    done = first - 1
    while done < last:
        await asyncio.sleep(TICK)
        until = min(last, first + int((time.monotonic() - begun) * rate))
        if until > done:
            await connection.execute(INSERT[name], done + 1, until)
            done = until
    await connection.close()


if __name__ == "__main__":
    asyncio.run(load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
