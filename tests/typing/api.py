"""What the type checkers must accept, and, on lines that say so, refuse. Never imported, only checked."""

from __future__ import annotations

from typing import Annotated, assert_type

import msgspec

import tieout
from tieout import Answer, ChildrenEnded, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction


class Prize(msgspec.Struct):
    code: str
    sku: str


class Shop:
    async def price(self, sku: str) -> int:
        return len(sku)


class Redeem(tieout.Process[Shop], name="redeem", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int = 1
    channel: Annotated[str, tieout.volatile] = ""

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        assert_type(self.price, int)
        assert_type(self.deps, Shop)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @tieout.call(timeout=2, query_after="5s", identity=["code"], echo={"sku": "sku"})
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        return Succeeded(Prize(send.key, sku)) if quantity else Failed("none")

    @issue.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        return NotFound()

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed(prize)

    @issue.failed(to=("refunded", "rest"))
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.rest.next("5m", tag=why.code) if why.detail else self.refunded(why.code)

    @tieout.timer(to="refunded")
    async def rest(self, tx: Transaction, tag: str) -> Next:
        return self.refunded(tag)

    @tieout.children(to="refunded")
    async def parcels(self, tx: Transaction, ended: ChildrenEnded) -> Next:
        return self.refunded(str(ended.counts))


class Wrong(tieout.Process[Shop], name="wrong", key="request_id"):
    request_id: str
    done = tieout.Final[Prize]()

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        self.issue.next(sku=1, quantity=2)  # refused: sku is a str
        self.issue.next(sku="mug")  # refused: quantity is missing
        self.issue.next(sku="mug", quantity=2, colour="red")  # refused: there is no colour
        self.done("A1")  # refused: the result is a Prize
        self.rest.next("5m", tags="x")  # refused: it is called tag
        return self.issue.next(sku="mug", quantity=2)

    @tieout.call(timeout=2)
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        return Succeeded(Prize("", sku))

    @issue.query  # refused: the query lacks quantity
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        return NotFound()

    @issue.succeeded(to="done")  # refused: the success is a Prize
    async def complete(self, tx: Transaction, prize: str) -> Next:
        return self.done(Prize(prize, ""))

    @issue.failed(to="done")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.done(Prize(why.code, ""))

    @tieout.timer(to="done")
    async def rest(self, tx: Transaction, tag: str) -> Next:
        return self.done(Prize(tag, ""))


async def use(app: tieout.App) -> None:
    process = await app.start(Redeem(request_id="r", user="u", sku="mug"), wait=1.0)
    assert_type(process.state, str)
    await app.report(f"{process.id}:1", Succeeded(Prize("", "")), source="push")
    await app.report(f"{process.id}:1", Succeeded(1), source="pigeon")  # refused: no such source
    Redeem(request_id="r", user="u")  # refused: sku is missing
    Redeem(request_id="r", user="u", sku="mug", quantity="2")  # refused: quantity is an int
