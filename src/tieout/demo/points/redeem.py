"""The mall's business: points are exchanged for a prize that another company's service issues."""

from __future__ import annotations

import json
from typing import Any, NoReturn, Protocol

import msgspec
from aiohttp import ClientConnectorError, ClientResponse, ClientSession, ClientTimeout

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Pending, Sending, Succeeded, Transaction, Unknown

CATALOGUE = {"mug": 120, "umbrella": 350, "headphones": 1_900, "bicycle": 24_000}
"""Price of each prize in points."""

CALL_TIMEOUT = 1.0
"""Seconds that the mall waits for the prize service."""

OPENED = (
    "INSERT INTO redemption (order_key, account, sku, quantity, state, completed_at)"
    " VALUES (:key, :user, :sku, :quantity, 'open', NULL)"
)
COMPLETED = "UPDATE redemption SET state = 'completed', completed_at = {now} WHERE order_key = :key"

EVIDENCE_BYTES = 500
"""How much is kept of an answer that makes no sense."""


class Prize(msgspec.Struct, frozen=True):
    """What the prize service issued."""

    code: str
    sku: str
    quantity: int


class Prizes(Protocol):
    """The prize service, as the process knows it."""

    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]: ...
    async def find(self, send: Sending) -> Found[Prize]: ...


class Shop(msgspec.Struct, frozen=True):
    """What the process needs of the world."""

    catalogue: dict[str, int]
    prizes: Prizes


class Redeem(tieout.Process[Shop], name="redeem", key="request_id", owner="user"):
    """Exchange points for a prize: both move, once."""

    request_id: str
    user: str
    sku: str
    quantity: int

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    async def price(self) -> int:
        """Points for one, as of the request: a later change of the catalogue does not touch it."""
        price = self.deps.catalogue.get(self.sku)
        if price is None:
            raise tieout.Refused("no such prize")
        return price

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        """Take the points, or refuse."""
        cost = self.price * self.quantity
        taken = await tx.execute(
            "UPDATE account SET points = points - :cost WHERE name = :user AND points >= :cost",
            cost=cost,
            user=self.user,
        )
        if not taken:
            raise tieout.Refused("not enough points")
        await _record(tx, self.id, self.user, -cost, "redeemed")
        await tx.execute(OPENED, key=self._order, user=self.user, sku=self.sku, quantity=self.quantity)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @tieout.call(
        timeout=CALL_TIMEOUT,
        query_after=0.5,
        settle=3,
        key_valid="24h",
        identity=["code"],
        echo={"sku": "sku", "quantity": "quantity"},
        lane="prizes",
        retry_cap=4,
    )
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        """Ask for the prize."""
        return await self.deps.prizes.issue(send, sku, quantity)

    @issue.query
    async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        """Ask what became of it."""
        return await self.deps.prizes.find(send)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        """Both sides have moved."""
        await tx.execute(COMPLETED, key=self._order)
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        """Give the points back."""
        cost = self.price * self.quantity
        await tx.execute("UPDATE account SET points = points + :cost WHERE name = :user", cost=cost, user=self.user)
        await _record(tx, self.id, self.user, cost, "refunded")
        await tx.execute("UPDATE redemption SET state = 'refunded' WHERE order_key = :key", key=self._order)
        return self.refunded(why.code)

    @property
    def _order(self) -> str:
        """The key that the prize service is asked with: there is one call."""
        return f"{self.id}:1"


async def _record(tx: Transaction, process: str, user: str, delta: int, reason: str) -> None:
    sql = "INSERT INTO points_change (id, account, delta, reason) VALUES (:id, :user, :delta, :reason)"
    await tx.execute(sql, id=process, user=user, delta=delta, reason=reason)


class PrizeClient:
    """The prize service over HTTP. Whatever is not a clear answer is unknown, and no exception is hidden."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        """Ask for a prize under this key."""
        order = {"key": send.key, "sku": sku, "quantity": quantity}
        try:
            async with self._http.post(f"{self._url}/prizes", json=order, timeout=_limit(send)) as answer:
                return await _read(answer, send.key)
        except ClientConnectorError as error:
            raise tieout.NotSent(str(error)) from error

    async def find(self, send: Sending) -> Found[Prize]:
        """Ask what became of this key."""
        async with self._http.get(f"{self._url}/prizes/{send.key}", timeout=_limit(send)) as answer:
            if answer.status == 404 and parse_claim(await answer.read()).get("status") == "NOT_FOUND":
                return NotFound()
            return await _read(answer, send.key)


def _limit(send: Sending) -> ClientTimeout:
    return ClientTimeout(total=send.timeout)


async def _read(answer: ClientResponse, key: str) -> Answer[Prize]:
    body = await answer.read()
    told = parse_claim(body) if answer.status in (200, 202) else {}
    if told.get("key") != key:
        return Unknown(f"status {answer.status}, not about this key", body[:EVIDENCE_BYTES].decode(errors="replace"))
    return outcome(told)


def parse_claim(body: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice; `{}` for everything else."""
    try:
        told = json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def outcome(told: dict[str, Any]) -> Answer[Prize]:
    """What the prize service says became of a call, in an answer or in a call back."""
    match told:
        case {"status": "SUCCEEDED", "code": str(code), "sku": str(sku), "quantity": int(quantity)}:
            return Succeeded(Prize(code, sku, quantity))
        case {"status": "FAILED", "reason": str(reason)}:
            return Failed(reason)
        case {"status": "PENDING"}:
            return Pending()
        case _:
            return Unknown(f"status {told.get('status')!r}", json.dumps(told)[:EVIDENCE_BYTES])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
