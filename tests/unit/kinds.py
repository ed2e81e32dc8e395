"""Process types that are sound, with one step for each thing that a type can have."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, Sending, Transaction


class Size(enum.Enum):
    """A param that is an enumeration."""

    SMALL = "s"
    LARGE = "l"


class Address(msgspec.Struct):
    """A param that is a struct."""

    city: str
    floors: list[int] = []


class Prize(msgspec.Struct):
    """An answer."""

    code: str
    worth: Decimal = Decimal(0)


class Order(tieout.Process[Any], name="order", key="request_id", owner="user", version=3, deadline="2h"):
    """A type with params of many kinds, two calls and two finals."""

    LIMIT: ClassVar[int] = 5

    request_id: str
    user: str
    amount: Decimal = Decimal("1.50")
    at: dt.datetime | None = None
    size: Size = Size.SMALL
    address: Address | None = None
    tags: list[str] = []  # noqa: RUF012 - a param: each request gets a list of its own
    ratio: float = 0.5
    channel: Annotated[str, tieout.volatile] = "web"

    completed = tieout.Final[Prize]()
    refused = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> Decimal:
        return Decimal("2.25")

    @tieout.start(to=("reserve", "refused"))
    async def begin(self, tx: Transaction) -> Next:
        return self.reserve.next(sku="mug", quantity=1)

    @tieout.call(timeout="2s", query_after=5, settle="30s", key_valid="24h", identity=["code"], lane="stock")
    async def reserve(self, send: Sending, sku: str, quantity: int = 1) -> Answer[Prize]: ...

    @reserve.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]: ...

    @reserve.succeeded(to=("pay", "reserve"))
    async def go_on(self, tx: Transaction, prize: Prize) -> Next: ...

    @reserve.failed(to="refused")
    async def give_up(self, tx: Transaction, why: Failed) -> Next: ...

    @tieout.call(timeout=1, idempotent=False)
    def pay(self, send: Sending, amount: Decimal) -> Answer[str]: ...

    @pay.succeeded(to="completed")
    async def done(self, tx: Transaction, receipt: str) -> Next: ...

    @pay.failed(to="refused")
    async def undone(self, tx: Transaction, why: Failed) -> Next: ...
