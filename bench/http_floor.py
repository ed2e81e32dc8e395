"""The same redemption by hand: bare Litestar and asyncpg on Granian, with the statements and commits of ours.

`python -m bench.http_floor DSN POOL PORT STATEMENTS TOKEN`. It reads a token and a key from the headers and a
typed body, deducts and inserts in one transaction, answers 201, and finishes in the background; as ours does.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
from contextlib import suppress
from hashlib import blake2b
from typing import Annotated, Any

import asyncpg
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Response, post
from litestar.params import HeaderParameter, JSONBody

from bench.redeem_by_hand import Statement


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent."""

    user: str
    sku: str
    quantity: int


class Floor:
    """The handler and its connections."""

    def __init__(self, given: dict[str, Any], token: str) -> None:
        self.deduct, self.change, self.insert, self.save = (
            Statement(*given[name]) for name in ("deduct", "change", "insert", "save")
        )
        self.token = token
        self.pool: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
        self.finishing: set[asyncio.Task[None]] = set()

    async def start(self, key: str, order: Order) -> tuple[bytes, int]:
        """Deduct, write the change, insert; one commit."""
        process = blake2b(f"{order.user}/{key}".encode(), digest_size=16).digest()
        params = json.dumps({"request_id": key, **msgspec.structs.asdict(order)})
        entry = {"n": 1, "step": "issue", "args": {"sku": order.sku, "quantity": order.quantity}}
        connection = await self.pool.get()
        await connection.execute("BEGIN")
        await connection.execute(self.deduct.text, *self.deduct.args(points=order.quantity, name=order.user))
        change = self.change.args(id=process.hex(), name=order.user, points=order.quantity)
        await connection.execute(self.change.text, *change)
        values = {"id": process, "owner": order.user.encode(), "request_key": key.encode()}
        row = await connection.fetchrow(
            self.insert.text, *self.insert.args(**values, params=params, calls=json.dumps([entry]))
        )
        await connection.execute("COMMIT")
        self.pool.put_nowait(connection)
        task = asyncio.create_task(self.finish(process, row[0], params, entry))
        self.finishing.add(task)
        task.add_done_callback(self.finishing.discard)
        return process, row[0]

    async def finish(self, process: bytes, at: int, params: str, entry: dict[str, Any]) -> None:
        """The second commit."""
        value = {"code": process.hex()[:12]}
        entry["final"] = {"kind": "succeeded", "source": "immediate", "by": "call", "at": at, "value": value}
        entry["closed"] = True
        trail = json.dumps([{"to": "completed", "at": at, "source": "immediate", "by": "call", "n": 1}])
        connection = await self.pool.get()
        await connection.execute("BEGIN")
        calls = json.dumps([entry])
        row = self.save.args(id=process, params=params, calls=calls, trail=trail, result=json.dumps(value))
        await connection.execute(self.save.text, *row)
        await connection.execute("COMMIT")
        self.pool.put_nowait(connection)


def application(floor: Floor) -> Litestar:
    """The one route."""

    @post("/v1/types/redeem/processes", status_code=201)
    async def redeem(
        data: JSONBody[Order],
        key: Annotated[str, HeaderParameter(name="Idempotency-Key")],
        authorization: Annotated[str, HeaderParameter(name="Authorization")],
    ) -> Response[dict[str, Any]]:
        if not hmac.compare_digest(authorization, f"Bearer {floor.token}"):
            return Response({"status": 401}, status_code=401)
        process, at = await floor.start(key, data)
        told = {"id": process.hex(), "state": "issue", "created": at, "params": msgspec.structs.asdict(data)}
        return Response(told, status_code=201, headers={"Location": f"/v1/processes/{process.hex()}"})

    return Litestar([redeem], openapi_config=None, logging_config=None)


async def main() -> None:
    """Serve until stopped."""
    _, dsn, pool, port, given, token = sys.argv
    floor = Floor(json.loads(given), token)
    for _ in range(int(pool)):
        floor.pool.put_nowait(await asyncpg.connect(dsn))
    server = Server(
        application(floor),
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
    )
    await server.serve()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
