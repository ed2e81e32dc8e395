"""The same handler by hand on bare asyncpg: a row with a unique key in the handler's transaction, without tieout.

`python bench/once_floor_postgres.py HOST PORT USER DATABASE POOL IN_FLIGHT REQUESTS`. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from typing import Any
from uuid import uuid4

import asyncpg

SKUS = 1_000
TAKE = "UPDATE stock SET pieces = pieces - $2 WHERE sku = $1 AND pieces >= $2"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES ($1, $2, $3)"
KEEP = "INSERT INTO answered (owner, request_key, fingerprint, answer) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


def fingerprint(params: dict[str, Any]) -> str:
    """What stands for the params, as a service would write it."""
    return hashlib.blake2b(json.dumps(params, sort_keys=True).encode(), digest_size=16).hexdigest()


async def run(connections: list[asyncpg.Connection], in_flight: int, requests: int) -> dict[str, float]:
    pool: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)
    left = iter(range(requests))

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

    async def client() -> None:
        for number in left:
            await issue("mall", uuid4().hex, {"sku": f"sku{number % SKUS}", "quantity": 2})

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": requests / seconds, "cpu": cpu / seconds}


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
