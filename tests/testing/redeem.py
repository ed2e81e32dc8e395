"""The process that the plays of these tests play, with a fake prize service, and ways to write it wrongly."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction
from tieout.testing import Play, play

SCHEMA = """
CREATE TABLE account (name TEXT PRIMARY KEY, points INTEGER NOT NULL);
CREATE TABLE points_change (process TEXT, delta INTEGER, at INTEGER);
INSERT INTO account (name, points) VALUES ('u', 1000);
"""
TAKE = "UPDATE account SET points = points - :cost WHERE name = :user AND points >= :cost"
ORDER = {"request_id": "r", "user": "u", "sku": "mug", "quantity": 2}


class Prize(msgspec.Struct, frozen=True):
    code: str


class Shop:
    """A prize service that knows repeated keys, and a catalogue."""

    def __init__(self, database: tieout.Database | None = None) -> None:
        self.issued: dict[str, Prize] = {}
        self.database = database

    async def price(self, sku: str) -> int:
        return {"mug": 100, "sold out": 100}[sku]

    async def issue(self, key: str, sku: str, quantity: int) -> Answer[Prize]:
        if sku == "sold out":
            return Failed("sold_out")
        self.issued.setdefault(key, Prize(f"{sku}-{len(self.issued) + 1}"))
        return Succeeded(self.issued[key])

    async def find(self, key: str) -> Found[Prize]:
        return Succeeded(self.issued[key]) if key in self.issued else NotFound()


class Redeem(tieout.Process[Shop], name="redeem", key="request_id", owner="user"):
    """Points for a prize."""

    request_id: str
    user: str
    sku: str
    quantity: int

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        if not await tx.execute(TAKE, user=self.user, cost=self.price * self.quantity):
            raise tieout.Refused("not enough points")
        await self.record(tx, -self.price * self.quantity)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @tieout.call(timeout=2, query_after=5, key_valid="24h", identity=["code"])
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        return await self.deps.issue(send.key, sku, quantity)

    @issue.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        return await self.deps.find(send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        cost = self.price * self.quantity
        await tx.execute("UPDATE account SET points = points + :cost WHERE name = :user", user=self.user, cost=cost)
        await self.record(tx, cost)
        return self.refunded(why.code)

    async def record(self, tx: Transaction, delta: int) -> None:
        await tx.execute("INSERT INTO points_change VALUES (:process, :delta, {now})", process=self.id, delta=delta)


class TakesOutside(Redeem, name="takes-outside", key="request_id", owner="user"):
    """Wrong: the points are taken by a look-up, in a transaction of its own."""

    @tieout.snapshot
    async def price(self) -> int:
        assert self.deps.database is not None
        await self.deps.database.transact(lambda tx: tx.execute(TAKE, user=self.user, cost=7))
        return 100


class TakesInBetween(Redeem, name="takes-in-between", key="request_id", owner="user"):
    """Wrong: a look-up acts while a prize is issued and not yet given out."""

    @tieout.snapshot
    async def price(self) -> int:
        assert self.deps.database is not None
        if self.deps.issued:
            await self.deps.database.transact(lambda tx: tx.execute(TAKE, user=self.user, cost=7))
        return 100

    @tieout.call(timeout=2, query_after=5)
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        return await self.deps.issue(send.key, sku, quantity)

    @issue.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        return await self.deps.find(send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        self.deps.issued.clear()
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


class OwnKey(tieout.Process[Shop], name="own-key", key="request_id"):
    """Wrong: every try goes out under another key than the one it is given."""

    request_id: str

    completed = tieout.Final[str]()

    @tieout.start(to="order")
    async def begin(self, tx: Transaction) -> Next:
        return self.order.next()

    @tieout.call(timeout=2, query_after=5)
    async def order(self, send: Sending) -> Answer[Prize]:
        return await self.deps.issue(uuid4().hex, "mug", 1)

    @order.succeeded(to="completed")
    async def ordered(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed("ordered")

    @order.failed(to="completed")
    async def not_ordered(self, tx: Transaction, why: Failed) -> Next:
        return self.completed("not ordered")


class MadeUpId(OwnKey, name="made-up-id", key="request_id"):
    """Every run writes another value, whoever asks how often."""

    @tieout.start(to="order")
    async def begin(self, tx: Transaction) -> Next:
        await tx.execute("INSERT INTO points_change VALUES (:process, 1, 1)", process=uuid4().hex)
        return self.order.next()


class AsksAnew(OwnKey, name="asks-anew", key="request_id"):
    """Wrong: a query takes what it finds for a failure, and the order is placed anew, under the next key."""

    @tieout.call(timeout=2, query_after=5)
    async def order(self, send: Sending) -> Answer[Prize]:
        return await self.deps.issue(send.key, "mug", 1)

    @order.query
    async def find(self, send: Sending) -> Found[Prize]:
        return Failed("done before") if send.key in self.deps.issued else NotFound()

    @order.succeeded(to="completed")
    async def ordered(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed("ordered")

    @order.failed(to=("order", "completed"))
    async def not_ordered(self, tx: Transaction, why: Failed) -> Next:
        return self.order.next()


def redeem(**options: Any) -> Play[Shop]:
    """A play of the right process, with a fresh shop."""
    return play(Redeem, **{"deps": Shop(), "schema": SCHEMA, **options})
