"""The business that is simulated: points are exchanged for prizes of four kinds, through three downstreams.

Redeem   one call, idempotent, with a query, identity and echo.
Gift     a call that is re-sent without a query, and after it one whose downstream is not idempotent.
Message  one call whose downstream is not idempotent and cannot be asked.
Bundle   a call whose downstream is not idempotent, and after it an idempotent one; both can be asked.

The business tables are named statements over the model, like the stores'; nothing in them guards against a step that
runs twice, so that the auditor sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from tests.simulation.model_database import ModelTransaction, Result, StatementFunction
from tieout.contracts import Transaction
from tieout.errors import Refused
from tieout.process.define import Final, Next, call, snapshot, start
from tieout.process.outcomes import Answer, Failed, Found, NotFound, Pending, Succeeded, Unknown
from tieout.process.process import Process
from tieout.process.sending import Sending

ACCOUNT, CHANGE, SHOP = "account", "change", "shop"
TABLES = (ACCOUNT, CHANGE, SHOP)
HOUSE = "house"
"""The account that every exchange pays into: a row that all transactions meet on."""

BROKEN_STEP = "the step is broken for now"


class Prize(msgspec.Struct, frozen=True):
    """What a downstream says that it has given."""

    code: str
    sku: str


class Reply(NamedTuple):
    """What comes back over the wire: a word, and what goes with it."""

    word: str
    code: str = ""
    sku: str = ""
    after: float | None = None


class Wire(Protocol):
    """The way to the downstreams, from one node."""

    async def send(self, service: str, key: str, args: dict[str, Any], timeout: float) -> Reply: ...
    async def ask(self, service: str, key: str) -> Reply: ...
    async def price(self, sku: str) -> int: ...
    async def rate(self) -> int: ...
    def stumble(self, step: str) -> None: ...


class Statement(NamedTuple):
    """A named statement of the business."""

    name: str
    text: str = ""
    params: tuple[str, ...] = ()


DEDUCT, PAY, NOTE, IS_OPEN = Statement("deduct"), Statement("pay"), Statement("note"), Statement("is_open")


def deduct(tx: ModelTransaction, now: int, p: Mapping[str, Any]) -> Result:
    account = tx.see(ACCOUNT, p["user"])
    if account is None or account["points"] < p["points"]:
        return 0
    tx.write(ACCOUNT, p["user"], {**account, "points": account["points"] - p["points"]})
    return 1


def pay(tx: ModelTransaction, now: int, p: Mapping[str, Any]) -> Result:
    account = tx.see(ACCOUNT, p["user"])
    if account is None:
        return 0
    tx.write(ACCOUNT, p["user"], {**account, "points": account["points"] + p["points"]})
    return 1


def note(tx: ModelTransaction, now: int, p: Mapping[str, Any]) -> Result:
    tx.write(CHANGE, len(tx.database.tables[CHANGE]), dict(p))
    return 1


def is_open(tx: ModelTransaction, now: int, p: Mapping[str, Any]) -> Result:
    return [(True,)] if (tx.see(SHOP, "door") or {}).get("open") else []


STATEMENTS: dict[str, StatementFunction] = {"deduct": deduct, "pay": pay, "note": note, "is_open": is_open}


async def take(tx: Transaction, process: str, user: str, points: int, house_first: bool) -> None:
    """Move points from a user to the house; the two rows are locked in either order, so that some meet head on."""
    if await tx.fetch_one(IS_OPEN) is None:
        raise Refused("closed")
    if house_first:
        await tx.execute(PAY, user=HOUSE, points=points)
    if await tx.execute(DEDUCT, user=user, points=points) != 1:
        raise Refused("no points")
    await tx.execute(NOTE, process=process, what="deduct", points=points, code="")
    if not house_first:
        await tx.execute(PAY, user=HOUSE, points=points)


async def give_back(tx: Transaction, process: str, user: str, points: int) -> None:
    """Undo `take`."""
    await tx.execute(PAY, user=user, points=points)
    await tx.execute(NOTE, process=process, what="refund", points=points, code="")
    await tx.execute(PAY, user=HOUSE, points=-points)


async def record(tx: Transaction, process: str, what: str, code: str) -> None:
    """Write down what a process has come to."""
    await tx.execute(NOTE, process=process, what=what, points=0, code=code)


def answer(reply: Reply) -> Any:
    """What a reply means; a service's client is no better than those that people write."""
    match reply.word:
        case "succeeded":
            return Succeeded(Prize(reply.code, reply.sku))
        case "failed":
            return Failed(reply.code)
        case "pending":
            return Pending(reply.after)
        case "missing":
            return NotFound()
        case "error":
            raise ConnectionResetError("500")
        case "login page":
            raise ValueError("<html>")
        case "wrong type":
            return Succeeded({"code": 5})
        case "no outcome":
            return {"status": "ok"}
    return Unknown(reply.word)


class Redeem(Process[Wire], name="redeem", key="request_id", owner="user", deadline=90):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[Prize]()
    refunded = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @call(
        timeout=2,
        query_after=4,
        settle=10,
        key_valid=60,
        identity=["code"],
        echo={"sku": "sku"},
        lane="prizes",
        retry_cap=15,
    )
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        args = {"sku": sku, "quantity": quantity, "user": self.user}
        return answer(await self.deps.send("prizes", send.key, args, send.timeout))

    @issue.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        return answer(await self.deps.ask("prizes", send.key))

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        self.deps.stumble("complete")
        await record(tx, self.id, "complete", prize.code)
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        self.deps.stumble("refund")
        return self.refunded(why.code)


class Gift(Process[Wire], name="gift", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[Prize]()
    refunded = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="pack")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.pack.next(sku=self.sku, quantity=self.quantity)

    @call(timeout=3, query_after=3, key_valid=45, identity=["code"], echo={"sku": "sku"}, lane="prizes", retry_cap=12)
    async def pack(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        args = {"sku": sku, "quantity": quantity, "user": self.user}
        return answer(await self.deps.send("prizes", send.key, args, send.timeout))

    @pack.succeeded(to="ship")
    async def packed(self, tx: Transaction, prize: Prize) -> Next:
        self.deps.stumble("packed")
        await record(tx, self.id, "packed", prize.code)
        return self.ship.next(parcel=prize.code, sku=prize.sku)

    @pack.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.refunded(why.code)

    @call(timeout=2, query_after=4, settle=8, identity=["code"], idempotent=False, lane="parcels", retry_cap=15)
    async def ship(self, send: Sending, parcel: str, sku: str) -> Answer[Prize]:
        args = {"parcel": parcel, "sku": sku, "user": self.user}
        return answer(await self.deps.send("parcels", send.key, args, send.timeout))

    @ship.query
    async def track(self, send: Sending, parcel: str, sku: str) -> Found[Prize]:
        return answer(await self.deps.ask("parcels", send.key))

    @ship.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        self.deps.stumble("complete")
        await record(tx, self.id, "complete", prize.code)
        return self.completed(prize)

    @ship.failed(to="refunded")
    async def take_back(self, tx: Transaction, why: Failed) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.refunded(why.code)


class Message(Process[Wire], name="message", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[Prize]()
    refunded = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="tell")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.tell.next(sku=self.sku)

    @call(timeout=2, query_after=3, key_valid=40, idempotent=False, lane="messages", retry_cap=10)
    async def tell(self, send: Sending, sku: str) -> Answer[Prize]:
        return answer(await self.deps.send("messages", send.key, {"sku": sku, "user": self.user}, send.timeout))

    @tell.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        await record(tx, self.id, "complete", prize.code)
        self.deps.stumble("complete")
        return self.completed(prize)

    @tell.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.refunded(why.code)


class Bundle(Process[Wire], name="bundle", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[Prize]()
    refunded = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="reserve")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.reserve.next(sku=self.sku)

    @call(timeout=2, query_after=3, settle=9, identity=["code"], idempotent=False, lane="parcels", retry_cap=12)
    async def reserve(self, send: Sending, sku: str) -> Answer[Prize]:
        return answer(await self.deps.send("parcels", send.key, {"sku": sku, "user": self.user}, send.timeout))

    @reserve.query
    async def look_up(self, send: Sending, sku: str) -> Found[Prize]:
        return answer(await self.deps.ask("parcels", send.key))

    @reserve.succeeded(to="issue")
    async def reserved(self, tx: Transaction, parcel: Prize) -> Next:
        await record(tx, self.id, "packed", parcel.code)
        self.deps.stumble("reserved")
        return self.issue.next(sku=self.sku)

    @reserve.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.refunded(why.code)

    @call(timeout=2, query_after=2, key_valid=60, identity=["code"], echo={"sku": "sku"}, lane="prizes", retry_cap=10)
    async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        return answer(await self.deps.send("prizes", send.key, {"sku": sku, "user": self.user}, send.timeout))

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        return answer(await self.deps.ask("prizes", send.key))

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        await record(tx, self.id, "complete", prize.code)
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def take_back(self, tx: Transaction, why: Failed) -> Next:
        self.deps.stumble("take back")
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.refunded(why.code)
