"""The redemption by hand on bare asyncmy, without tieout: the same statements, commits and number of connections.

`python -m bench.redeem_floor_mysql HOST PORT USER DATABASE POOL IN_FLIGHT REDEMPTIONS STATEMENTS [RATE]`, as the one
for PostgreSQL. Transactions begin by themselves, as in ours. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS

from bench.pacing import drive
from bench.redeem_by_hand import TIMEOUT, Request, ended, issue, request, started, statements


async def run(connections: list[Any], in_flight: int, redemptions: int, given: str, rate: float) -> dict[str, float]:
    deduct, change, insert, save = statements(given)
    pool: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)

    async def start(one: Request) -> int:
        connection = await pool.get()
        cursor = connection.cursor()
        if await cursor.execute(deduct.text, deduct.args(points=2, name=one.user)) != 1:
            raise SystemExit("not enough points")
        await cursor.execute(change.text, change.args(id=one.process.hex(), name=one.user, points=2))
        await cursor.execute(insert.text, insert.args(**started(one)))
        at = cursor.lastrowid
        await connection.commit()
        pool.put_nowait(connection)
        return at

    async def finish(one: Request, at: int, code: str) -> None:
        connection = await pool.get()
        cursor = connection.cursor()
        if await cursor.execute(save.text, save.args(**ended(one, at, code))) != 1:
            raise SystemExit("lost a race that nobody ran")
        await connection.commit()
        pool.put_nowait(connection)

    async def redeem(number: int) -> None:
        one = request(number)
        at = await start(one)
        async with asyncio.timeout(TIMEOUT):
            code = await issue(one.process)
        await finish(one, at, code)

    return await drive(redeem, redemptions, in_flight, rate)


async def main() -> None:
    _, host, port, user, database, pool, in_flight, redemptions, given, *rate = sys.argv
    where = {"host": host, "port": int(port), "user": user, "database": database}
    connections = [await asyncmy.connect(**where, charset="utf8mb4", client_flag=FOUND_ROWS) for _ in range(int(pool))]
    for connection in connections:
        await connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    result = await run(connections, int(in_flight), int(redemptions), given, float(*rate))
    for connection in connections:
        connection.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
