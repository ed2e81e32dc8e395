"""A small service that uses tieout, copied beside each test's database; its downstream does as a file says."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction

MOOD = Path("downstream.json")


class Prize(msgspec.Struct):
    code: str
    sku: str


def mood(way: str) -> str:
    """How the downstream feels about a call or a query now."""
    return json.loads(MOOD.read_text())[way]


def mark(name: str) -> None:
    """Leave a trace that a test can see, with how many objects the collector of garbage does not look at."""
    Path(name).write_text(str(gc.get_freeze_count()))


async def answer(way: str, key: str, sku: str) -> Answer[Prize]:
    match mood(way):
        case "succeed":
            return Succeeded(Prize(f"A-{key[-1]}", sku))
        case "fail":
            return Failed("sold-out")
        case "hang":
            mark("called")
            while mood(way) == "hang":  # noqa: ASYNC110 - another program changes it
                await asyncio.sleep(0.02)
            return Succeeded(Prize(f"A-{key[-1]}", sku))
    raise ConnectionResetError("no answer")


app = tieout.App(os.environ["SHOP_DB"])
no_types = tieout.App("sqlite://")
no_app = "points"


@app.register
class Redeem(tieout.Process[None], name="redeem", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str = "mug"

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        return self.issue.next(sku=self.sku)

    @tieout.call(timeout=10, query_after=0.1, settle=0, identity=["code"], echo={"sku": "sku"}, lane="prizes")
    async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        return await answer("call", send.key, sku)

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        return NotFound() if mood("query") == "not-found" else await answer("query", send.key, sku)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        await tx.execute("INSERT INTO delivered (id, code) VALUES (:id, :code)", id=self.id, code=prize.code)
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


@app.register
class Reminder(tieout.Process[None], name="reminder", key="request_id"):
    request_id: str

    sent = tieout.Final[str]()
    dropped = tieout.Final[str]()

    @tieout.start(to="later")
    async def begin(self, tx: Transaction) -> Next:
        return self.later.next("1h")

    @tieout.timer(to="sent")
    async def later(self, tx: Transaction) -> Next:
        return self.sent("")

    @tieout.cancel(to="dropped")
    async def drop(self, tx: Transaction, why: tieout.Cancelled) -> Next:
        return self.dropped(why.reason)


alone = tieout.App("sqlite://")
alone.register(Redeem)


def made() -> tieout.App:
    return app


def burst() -> tieout.App:
    raise OSError("no such downstream")


async def awaited() -> tieout.App:
    return app


@asynccontextmanager
async def entered() -> AsyncIterator[tieout.App]:
    mark("entered")
    yield app
    mark("left")
