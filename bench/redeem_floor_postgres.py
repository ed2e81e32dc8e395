"""The redemption by hand on bare asyncpg, without tieout: the same statements, commits and number of connections.

`python -m bench.redeem_floor_postgres HOST PORT USER DATABASE POOL IN_FLIGHT REDEMPTIONS STATEMENTS [RATE]`, where
STATEMENTS is JSON with the text and parameter names of each statement. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg

from bench.pacing import drive
from bench.redeem_by_hand import TIMEOUT, Request, ended, issue, request, started, statements


async def run(
    connections: list[asyncpg.Connection], in_flight: int, redemptions: int, given: str, rate: float
) -> dict[str, float]:
    deduct, change, insert, save = statements(given)
    pool: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)

    async def start(one: Request) -> int:
        connection = await pool.get()
        await connection.execute("BEGIN")
        if await connection.execute(deduct.text, *deduct.args(points=2, name=one.user)) != "UPDATE 1":
            raise SystemExit("not enough points")
        await connection.execute(change.text, *change.args(id=one.process.hex(), name=one.user, points=2))
        row = await connection.fetchrow(insert.text, *insert.args(**started(one)))
        await connection.execute("COMMIT")
        pool.put_nowait(connection)
        return row[0]

    async def finish(one: Request, at: int, code: str) -> None:
        connection = await pool.get()
        await connection.execute("BEGIN")
        if await connection.execute(save.text, *save.args(**ended(one, at, code))) != "UPDATE 1":
            raise SystemExit("lost a race that nobody ran")
        await connection.execute("COMMIT")
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
    connections = [
        await asyncpg.connect(host=host, port=int(port), user=user, database=database) for _ in range(int(pool))
    ]
    result = await run(connections, int(in_flight), int(redemptions), given, float(*rate))
    for connection in connections:
        await connection.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
