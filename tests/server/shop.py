"""A service behind `tieout serve`, copied beside each node; its downstream does as the sku says."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Pending, Sending, Succeeded, Transaction
from tieout.mirror import Fetched, Group, days, flag, money, shape, tier, tiers
from tieout.recon import epoch, same, side

app = tieout.App(os.environ["SHOP_DB"], migrate=False)
rooms = app.mirror(
    "rooms", axis=days(10), fields={"price": money(), "open": flag()}, policy=tiers(all=tier(days(10), every="1d"))
)


@rooms.supplier("prizes", "1000/s", skew="1ms")
class Hotels:
    shapes = (shape("hotel", max_days=10),)

    async def catalogue(self):
        yield [Group("h0", ["h0-a", "h0-b"])]

    async def fetch(self, group, first, count):
        return Fetched({item: await self.check(item, first, count) for item in ("h0-a", "h0-b")})

    async def check(self, item, first, count):
        return {"price": [100] * count, "open": [True] * count}


change = side("sqlite:///points.db", table="change", key="id", at=epoch("at", "s"))
given = side("sqlite:///prizes.db", table="prize", key="change_id", at=epoch("at", "s"))
app.rule(
    "redemption",
    upstream=change,
    downstream=given,
    agree=[same("sku"), same("card_number")],
    repair=lambda found: Reminder(request_id=found.repair_key),
)


class Prize(msgspec.Struct):
    code: str
    sku: str


async def answer(sku: str, key: str) -> Answer[Prize]:
    match sku:
        case "pending":
            return Pending(after=3_600)
        case "failing":
            return Failed("sold-out")
        case "lost":
            raise ConnectionResetError("no answer")
        case "second":
            await asyncio.sleep(1)
    return Succeeded(Prize(f"A-{key[-1]}", sku))


@app.register
class Redeem(tieout.Process[None], name="redeem", key="request_id", owner="user"):
    """Exchange points for a prize."""

    request_id: str
    user: str
    sku: str = "mug"

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        if self.sku == "refused":
            raise tieout.Refused("not enough points")
        return self.issue.next(sku=self.sku)

    @tieout.call(timeout=5, query_after=3_600, settle=0, identity=["code"], echo={"sku": "sku"}, lane="prizes")
    async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        return await answer(sku, send.key)

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        return NotFound() if sku == "lost" else await answer(sku, send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        if self.sku == "broken":
            raise LookupError(f"no shelf for {self.user}")
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


@app.register
class Reminder(tieout.Process[None], name="reminder", key="request_id"):
    """Wait, and say so."""

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


class Card(msgspec.Struct):
    number: str
    holder: str = ""


@app.register
class Payment(tieout.Process[None], name="payment", key="reference"):
    """Params of many types, and some that nobody may see."""

    reference: str
    amount: Decimal
    currency: Literal["EUR", "USD"]
    card: Card
    password: str = ""
    at: datetime | None = None
    tags: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=20)], ...], msgspec.Meta(max_length=5)] = ()
    mood: Annotated[str, tieout.volatile] = ""
    code: Annotated[str, tieout.volatile] = ""

    paid = tieout.Final[str]()
    declined = tieout.Final[str]()

    @tieout.start(to="charge")
    async def begin(self, tx: Transaction) -> Next:
        return self.charge.next(card=self.card, password=self.password, mood=self.mood)

    @tieout.call(timeout=5, query_after=3_600, lane="bank")
    async def charge(self, send: Sending, card: Card, password: str, mood: str) -> Answer[str]:
        if mood == "raise":
            raise ConnectionError(f"the bank refused {card.number} with {password}")
        return Pending(after=3_600) if mood == "wait" else Succeeded("ok")

    @charge.succeeded(to="paid")
    async def done(self, tx: Transaction, value: str) -> Next:
        if self.card.holder == "nobody":
            raise ValueError(f"no such card: {self.card.number}")
        return self.paid(value)

    @charge.failed(to="declined")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.declined(why.code)
