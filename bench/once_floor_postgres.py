"""The same handler by hand on bare asyncpg: a row with a unique key in the handler's transaction, without tieout.

`python -m bench.once_floor_postgres HOST PORT USER DATABASE POOL IN_FLIGHT REQUESTS`. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from uuid import uuid4

import asyncpg

from bench.once_by_hand import SKUS, fingerprint
from bench.pacing import drive

TAKE = "UPDATE stock SET pieces = pieces - $2 WHERE sku = $1 AND pieces >= $2"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES ($1, $2, $3)"
KEEP = "INSERT INTO answered (owner, request_key, fingerprint, answer) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


async def run(connections: list[asyncpg.Connection], in_flight: int, requests: int) -> dict[str, float]:
    pool: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)

    async def issue(owner: str, key: str, params: dict[str, Any]) -> dict[str, Any]:
        connection = await pool.get()
        await connection.execute("BEGIN")
        if await connection.execute(TAKE, params["sku"], params["quantity"]) != "UPDATE 1":
            raise SystemExit("sold out")
        answer = {"code": uuid4().hex}
        await connection.execute(ISSUE, answer["code"], params["sku"], params["quantity"])
        kept = await connection.execute(KEEP, owner, key, fingerprint(params), json.dumps(answer))
        if kept != "INSERT 0 1":
            raise SystemExit("a new key was there")
        await connection.execute("COMMIT")
        pool.put_nowait(connection)
        return answer

    async def one(number: int) -> None:
        await issue("mall", uuid4().hex, {"sku": f"sku{number % SKUS}", "quantity": 2})

    return await drive(one, requests, in_flight)


async def main() -> None:
    _, host, port, user, database, pool, in_flight, requests = sys.argv
    connections = [
        await asyncpg.connect(host=host, port=int(port), user=user, database=database) for _ in range(int(pool))
    ]
    result = await run(connections, int(in_flight), int(requests))
    for connection in connections:
        await connection.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
