"""A redemption whose downstream says what a plan wrote down for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, Pending, Sending, Succeeded, Transaction


class Prize(msgspec.Struct, frozen=True):
    """What the downstream answers; all but the note says which prize it is."""

    code: str
    sku: str
    worth: Decimal
    issued: datetime
    parts: dict[str, float]
    note: str = ""


class Claim(msgspec.Struct, frozen=True):
    """A final outcome, as the JSON of a success or the code of a failure."""

    kind: str
    said: dict[str, Any] | str

    @property
    def outcome(self) -> Succeeded[Any] | Failed:
        return Failed(self.said) if isinstance(self.said, str) else Succeeded(self.said)


class Script:
    """The downstream: `first` is what it says of a process, and on which way, by request key."""

    def __init__(self, first: dict[str, tuple[str, Claim]]) -> None:
        self.first = first
        self.asked: set[str] = set()

    def answer(self, key: str) -> Any:
        way, claim = self.first[key]
        return typed(claim) if way == "immediate" else Pending()

    def find(self, key: str) -> Any:
        way, claim = self.first[key]
        again = key in self.asked
        self.asked.add(key)
        found = way in ("immediate", "query", "operator") or (way == "sweep" and again)
        return typed(claim) if found else Pending()


def typed(claim: Claim) -> Any:
    """A claim as a call step answers it."""
    return claim.outcome if claim.kind == "failed" else Succeeded(msgspec.convert(claim.said, Prize))


class Redeem(tieout.Process[Script], name="redeem", key="request_id"):
    """Points for a prize, without the points."""

    request_id: str

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        return self.issue.next(key=self.request_id, sku="mug")

    @tieout.call(
        timeout=5,
        query_after=0.05,
        settle=3_600,
        retry_cap=3_600,
        identity=["code", "worth", "issued", "parts"],
        echo={"sku": "sku"},
    )
    async def issue(self, send: Sending, key: str, sku: str) -> Answer[Prize]:
        return self.deps.answer(key)

    @issue.query
    async def find(self, send: Sending, key: str, sku: str) -> Found[Prize]:
        return self.deps.find(key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)
