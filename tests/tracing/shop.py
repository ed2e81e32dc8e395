"""A shop whose downstream can be made to hang, and a broker that keeps what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

import tieout
from tieout import Answer, Failed, Found, Next, Sending, Succeeded, Transaction, tracing
from tieout.access import Tokens
from tieout.contracts import Message
from tieout.server import asgi


class Broker:
    """Takes everything."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        self.messages += messages
        return [None] * len(messages)

    async def subscribe(self, topic: str) -> Any:
        await asyncio.Event().wait()


class Redeem(tieout.Process["Shop"], name="redeem", key="request_id"):
    """Exchange points for a prize, and tell others."""

    request_id: str
    user: str

    completed = tieout.Final[str](publish="broker/prizes.completed")
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(timeout=30, query_after=60, settle=0)
    async def issue(self, send: Sending) -> Answer[str]:
        return await self.deps.issue()

    @issue.query
    def find(self, send: Sending) -> Found[str]:
        self.deps.in_thread.append(tracing.context())
        return Succeeded("A1")

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: str) -> Next:
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


class Shop:
    """Makes Apps on one database, and is what their calls ask."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = True
        self.asked = 0
        self.at_work: list[str] = []
        self.in_thread: list[str] = []

    def app(self, broker: Broker | None = None) -> tieout.App:
        app = tieout.App(
            self.url, deps=self, limits=tieout.Limits(drain=0), channels={"broker": broker or Broker()}, migrate=False
        )
        app.register(Redeem)
        app.consume_starts("broker/orders", Redeem)
        return app

    async def issue(self) -> Answer[str]:
        self.at_work.append(tracing.context())
        self.asked += 1
        if not self.answers:
            await asyncio.Event().wait()
        return Succeeded("A1")


async def start(app: tieout.App, key: str, **headers: str) -> str:
    """Start a redemption over HTTP; its id."""
    tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
    made = await tokens.create("shop", ("client",), lifetime=3_600_000_000, actor="tests", reason="a test")
    transport = httpx.ASGITransport(asgi(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.post(
            "/v1/types/redeem/processes",
            json={"user": "bob"},
            headers={"Authorization": f"Bearer {made.text}", "Idempotency-Key": key, **headers},
        )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]
