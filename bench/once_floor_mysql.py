"""The same handler by hand on bare asyncmy: a row with a unique key in the handler's transaction, without tieout.

`python -m bench.once_floor_mysql HOST PORT USER DATABASE POOL IN_FLIGHT REQUESTS`. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from uuid import uuid4

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS
from asyncmy.errors import IntegrityError

from bench.once_by_hand import SKUS, fingerprint
from bench.pacing import drive

TAKE = "UPDATE stock SET pieces = pieces - %s WHERE sku = %s AND pieces >= %s"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES (%s, %s, %s)"
KEEP = "INSERT INTO answered (owner, request_key, fingerprint, answer) VALUES (%s, %s, %s, %s)"


async def run(connections: list[Any], in_flight: int, requests: int) -> dict[str, float]:
    pool: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)

    async def issue(owner: str, key: str, params: dict[str, Any]) -> dict[str, Any]:
        connection = await pool.get()
        cursor = connection.cursor()
        sku, quantity = params["sku"], params["quantity"]
        if await cursor.execute(TAKE, (quantity, sku, quantity)) != 1:
            raise SystemExit("sold out")
        answer = {"code": uuid4().hex}
        await cursor.execute(ISSUE, (answer["code"], sku, quantity))
        try:
            await cursor.execute(KEEP, (owner, key, fingerprint(params), json.dumps(answer)))
        except IntegrityError as error:
            raise SystemExit("a new key was there") from error
        await connection.commit()
        pool.put_nowait(connection)
        return answer

    async def one(number: int) -> None:
        await issue("mall", uuid4().hex, {"sku": f"sku{number % SKUS}", "quantity": 2})

    return await drive(one, requests, in_flight)


async def main() -> None:
    _, host, port, user, database, pool, in_flight, requests = sys.argv
    where = {"host": host, "port": int(port), "user": user, "database": database}
    connections = [await asyncmy.connect(**where, charset="utf8mb4", client_flag=FOUND_ROWS) for _ in range(int(pool))]
    for connection in connections:
        await connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    result = await run(connections, int(in_flight), int(requests))
    for connection in connections:
        connection.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
