"""The redemption by hand on bare asyncpg, without tieout: the same statements, commits and number of connections.

`python bench/redeem_floor_postgres.py HOST PORT USER DATABASE POOL IN_FLIGHT REDEMPTIONS STATEMENTS`, where STATEMENTS
is JSON with the text and parameter names of each statement. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import asyncpg

USERS = 1_000


class Statement:
    """A text and a way to fill its parameters in order."""

    def __init__(self, text: str, params: list[str], constants: dict[str, Any]) -> None:
        self.text = text
        self.template = [constants.get(name) for name in params]
        self.places = {name: place for place, name in enumerate(params)}

    def args(self, **values: Any) -> list[Any]:
        args = self.template.copy()
        for name, value in values.items():
            args[self.places[name]] = value
        return args


async def run(
    connections: list[asyncpg.Connection], in_flight: int, redemptions: int, given: dict[str, Any]
) -> dict[str, Any]:
    deduct, change, insert, save = (Statement(*given[name]) for name in ("deduct", "change", "insert", "save"))
    pool: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
    for connection in connections:
        pool.put_nowait(connection)
    left = iter(range(redemptions))

    async def start(process: bytes, key: bytes, user: str, params: str, calls: str) -> int:
        connection = await pool.get()
        await connection.execute("BEGIN")
        if await connection.execute(deduct.text, *deduct.args(points=2, name=user)) != "UPDATE 1":
            raise SystemExit("not enough points")
        await connection.execute(change.text, *change.args(id=process.hex(), name=user, points=2))
        row = await connection.fetchrow(
            insert.text, *insert.args(id=process, owner=user.encode(), request_key=key, params=params, calls=calls)
        )
        await connection.execute("COMMIT")
        pool.put_nowait(connection)
        return row[0]

    async def finish(process: bytes, at: int, params: str, calls: str, result: str) -> None:
        trail = json.dumps([{"to": "completed", "at": at, "source": "immediate", "by": "call", "n": 1}])
        connection = await pool.get()
        await connection.execute("BEGIN")
        status = await connection.execute(
            save.text, *save.args(id=process, params=params, calls=calls, trail=trail, result=result)
        )
        if status != "UPDATE 1":
            raise SystemExit("lost a race that nobody ran")
        await connection.execute("COMMIT")
        pool.put_nowait(connection)

    async def issue(process: bytes) -> str:
        return process.hex()[:12]

    async def client() -> None:
        for number in left:
            process, key, user = os.urandom(16), os.urandom(16).hex(), f"user{number % USERS}"
            params = json.dumps({"request_id": key, "user": user, "sku": "mug", "quantity": 2})
            entry: dict[str, Any] = {"n": 1, "step": "issue", "args": {"sku": "mug", "quantity": 2}}
            at = await start(process, key.encode(), user, params, json.dumps([entry]))
            code = await issue(process)
            value = {"code": code}
            entry["final"] = {"kind": "succeeded", "source": "immediate", "by": "call", "at": at, "value": value,
                              "identity": {"code": "0123456789abcdef"}}  # fmt: skip
            entry["closed"] = True
            await finish(process, at, params, json.dumps([entry]), json.dumps(value))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": redemptions / seconds, "cpu": cpu / seconds}


async def main() -> None:
    _, host, port, user, database, pool, in_flight, redemptions, given = sys.argv
    connections = [
        await asyncpg.connect(host=host, port=int(port), user=user, database=database) for _ in range(int(pool))
    ]
    result = await run(connections, int(in_flight), int(redemptions), json.loads(given))
    for connection in connections:
        await connection.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
