"""A business of the users': every kind of step, and what each writes, in the transaction that it is given.

Whatever is done twice is written twice: no index of the business's own keeps anything apart.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

import tieout
from tieout import (
    Answer,
    Cancelled,
    ChildrenEnded,
    Failed,
    Found,
    Next,
    NotFound,
    Pending,
    Sending,
    Succeeded,
    Transaction,
    Unknown,
)

TABLES = (
    "CREATE TABLE account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    """
    CREATE TABLE note (
        request VARCHAR(100) NOT NULL, process VARCHAR(100) NOT NULL, what VARCHAR(40) NOT NULL,
        points BIGINT NOT NULL, code VARCHAR(100) NOT NULL
    )
    """,
)
POINTS = 10_000
"""What the account has at first."""

MOVE = "UPDATE account SET points = points + :points WHERE name = 'ann'"
NOTE = "INSERT INTO note (request, process, what, points, code) VALUES (:request, :process, :what, :points, :code)"

Outcome = Succeeded[str] | Failed


class Wire(Protocol):
    """What the business knows of the other companies."""

    async def price(self, name: str) -> int: ...
    async def send(self, service: str, key: str, args: dict[str, Any]) -> Any: ...
    async def ask(self, key: str) -> Any: ...


async def write(tx: Transaction, process: Any, what: str, points: int = 0, code: str = "") -> None:
    """Move points and note why."""
    if points:
        await tx.execute(MOVE, points=points)
    await tx.execute(NOTE, request=process.request_id, process=process.id, what=what, points=points, code=code)


def answer(reply: Any) -> Any:
    """What a company's words mean."""
    match reply.word:
        case "done":
            return Succeeded(reply.code)
        case "refused":
            return Failed(reply.code)
        case "later":
            return Pending()
        case "missing":
            return NotFound()
    return Unknown("no answer")


class Redeem(tieout.Process[Wire], name="redeem", key="request_id"):
    """Points for a prize: one call, at the price that was looked up first."""

    request_id: str
    sku: str
    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> int:
        return await self.deps.price("prize")

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await write(tx, self, "begin", -self.price)
        return self.issue.next(sku=self.sku, price=self.price)

    @tieout.call(timeout=5, query_after=0.02, settle="10m", key_valid="48h", lane="prizes")
    async def issue(self, send: Sending, sku: str, price: int) -> Answer[str]:
        return answer(await self.deps.send("prizes", send.key, {"sku": sku, "price": price}))

    @issue.query
    async def find(self, send: Sending, sku: str, price: int) -> Found[str]:
        return answer(await self.deps.ask(send.key))

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, code: str) -> Next:
        await write(tx, self, "complete", code=code)
        return self.completed(code)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await write(tx, self, "refund", self.price)
        return self.refunded(why.code)


class Message(tieout.Process[Wire], name="message", key="request_id"):
    """A call to a company that knows no keys: sent once in its life."""

    request_id: str
    sku: str
    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()

    @tieout.start(to="tell")
    async def begin(self, tx: Transaction) -> Next:
        await write(tx, self, "begin", -10)
        return self.tell.next(sku=self.sku)

    @tieout.call(timeout=5, query_after=0.02, settle="10m", key_valid="48h", idempotent=False, lane="pigeons")
    async def tell(self, send: Sending, sku: str) -> Answer[str]:
        return answer(await self.deps.send("pigeons", send.key, {"sku": sku}))

    @tell.query
    async def look(self, send: Sending, sku: str) -> Found[str]:
        return answer(await self.deps.ask(send.key))

    @tell.succeeded(to="completed")
    async def complete(self, tx: Transaction, code: str) -> Next:
        await write(tx, self, "complete", code=code)
        return self.completed(code)

    @tell.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await write(tx, self, "refund", 10)
        return self.refunded(why.code)


class Order(tieout.Process[Wire], name="order", key="request_id"):
    """Two calls at a time, and one to undo them, which sends what it has recalled and is sent again without a query."""

    request_id: str
    sku: str
    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> int:
        return await self.deps.price("order")

    @tieout.start(to="fulfil")
    async def begin(self, tx: Transaction) -> Next:
        await write(tx, self, "begin", -self.price)
        return self.fulfil.next(pay=self.pay.next(sku="mug"), ship=self.ship.next(sku=self.sku))

    @tieout.call(timeout=5, query_after=0.02, settle="10m", key_valid="48h", lane="bank")
    async def pay(self, send: Sending, sku: str) -> Answer[str]:
        return answer(await self.deps.send("bank", send.key, {"sku": sku}))

    @pay.query
    async def find_payment(self, send: Sending, sku: str) -> Found[str]:
        return answer(await self.deps.ask(send.key))

    @tieout.call(timeout=5, query_after=0.02, settle="10m", key_valid="48h", lane="parcels")
    async def ship(self, send: Sending, sku: str) -> Answer[str]:
        return answer(await self.deps.send("parcels", send.key, {"sku": sku}))

    @ship.query
    async def find_parcel(self, send: Sending, sku: str) -> Found[str]:
        return answer(await self.deps.ask(send.key))

    @tieout.join(to=("completed", "give_back"))
    async def fulfil(self, tx: Transaction, pay: Outcome, ship: Outcome) -> Next:
        if isinstance(pay, Succeeded) and isinstance(ship, Succeeded):
            await write(tx, self, "complete", code=ship.value)
            return self.completed(ship.value)
        await write(tx, self, "undo")
        return self.give_back.next(sku="mug", price=self.price)

    @tieout.call(timeout=5, key_valid="7d", lane="bank")
    async def give_back(self, send: Sending, sku: str, price: int) -> Answer[str]:
        quote = await send.recall("quote", lambda: self.deps.price("quote"))
        return answer(await self.deps.send("givebacks", send.key, {"sku": sku, "price": price, "quote": quote}))

    @give_back.succeeded(to="refunded")
    async def gave_back(self, tx: Transaction, code: str) -> Next:
        await write(tx, self, "refund", self.price)
        return self.refunded(code)

    @give_back.failed(to="refunded")
    async def not_given(self, tx: Transaction, why: Failed) -> Next:
        await write(tx, self, "refund", self.price)
        return self.refunded(why.code)


class Parcel(Redeem, name="parcel", key="request_id"):
    """A child."""


class Trip(tieout.Process[Wire], name="trip", key="request_id"):
    """A parent of two."""

    request_id: str
    sku: str
    completed = tieout.Final[str]()

    @tieout.start(to="travel")
    async def begin(self, tx: Transaction) -> Next:
        await write(tx, self, "begin", -5)
        return self.travel.next([Parcel(request_id=f"{self.request_id}-{n}", sku=self.sku) for n in "ab"])

    @tieout.children(to="completed")
    async def travel(self, tx: Transaction, ended: ChildrenEnded) -> Next:
        code = " ".join(f"{final} {count}" for final, count in sorted(ended.counts.items()))
        await write(tx, self, "complete", code=code)
        return self.completed(code)


class Reminder(tieout.Process[Wire], name="reminder", key="request_id"):
    """Waits, then calls; can be called off."""

    request_id: str
    sku: str
    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()
    cancelled = tieout.Final[str]()

    @tieout.start(to="rest")
    async def begin(self, tx: Transaction) -> Next:
        await write(tx, self, "begin", -7)
        return self.rest.next("10m", sku=self.sku)

    @tieout.timer(to="remind")
    async def rest(self, tx: Transaction, sku: str) -> Next:
        await write(tx, self, "rested")
        return self.remind.next(sku=sku)

    @tieout.call(timeout=5, query_after=0.02, settle="10m", key_valid="48h", lane="bells")
    async def remind(self, send: Sending, sku: str) -> Answer[str]:
        return answer(await self.deps.send("bells", send.key, {"sku": sku}))

    @remind.query
    async def rung(self, send: Sending, sku: str) -> Found[str]:
        return answer(await self.deps.ask(send.key))

    @remind.succeeded(to="completed")
    async def complete(self, tx: Transaction, code: str) -> Next:
        await write(tx, self, "complete", code=code)
        return self.completed(code)

    @remind.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await write(tx, self, "refund", 7)
        return self.refunded(why.code)

    @tieout.cancel(to="cancelled")
    async def call_off(self, tx: Transaction, wish: Cancelled) -> Next:
        done = [outcome for outcome in wish.outcomes.values() if isinstance(outcome, Succeeded)]
        await write(tx, self, "cancel", 0 if done else 7, code="too late" if done else "")
        return self.cancelled(wish.reason)


TYPES = (Redeem, Message, Order, Parcel, Trip, Reminder)


class Bought(msgspec.Struct):
    """What the receiving side answers."""

    code: str


async def buy(tx: Transaction, request_id: str, code: str) -> Bought:
    """The receiving side: once for each key."""
    await tx.execute(MOVE, points=-3)
    await tx.execute(NOTE, request=request_id, process="once", what="bought", points=-3, code=code)
    return Bought(code)
