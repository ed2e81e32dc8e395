"""A small business written without an event loop, whose downstream does as it is told."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, blocking

TABLES = (
    "CREATE TABLE IF NOT EXISTS account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS posting (process VARCHAR(100) NOT NULL, what VARCHAR(100) NOT NULL)",
)
EMPTIED = ("tieout_process", "tieout_evidence", "tieout_alarm", "tieout_once", "tieout_inbox", "account", "posting")
POINTS = 1_000


class Prize(msgspec.Struct):
    """What the downstream answers."""

    code: str


class Shop:
    """The downstream and its script: answers, exceptions to raise, functions to call; else it does as on a good day."""

    def __init__(self) -> None:
        self.sent: list[Sending] = []
        self.asked: list[Sending] = []
        self.script: deque[Any] = deque()
        self.answers: deque[Any] = deque()

    def issue(self, send: Sending) -> Any:
        self.sent.append(send)
        return self._next(self.script, Succeeded(Prize("A1")))

    def find(self, send: Sending) -> Any:
        self.asked.append(send)
        return self._next(self.answers, NotFound())

    def _next(self, script: deque[Any], otherwise: Any) -> Any:
        answer = script.popleft() if script else otherwise
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


def note(tx: blocking.Transaction, process: str, what: str) -> None:
    """Write what a step did; nothing in the table makes that happen only once."""
    tx.execute("INSERT INTO posting (process, what) VALUES (:process, :what)", process=process, what=what)


def redeem(**options: Any) -> Any:
    """A process type of its own; `options` are those of its call."""
    options = {"timeout": 2.0, "query_after": 60, "settle": 120} | options

    class Redeem(tieout.Process[Shop], name="redeem", key="request_id", owner="user"):
        request_id: str
        user: str
        cost: int = 10

        completed = tieout.Final[Prize]()
        refunded = tieout.Final[str]()

        @tieout.snapshot
        def price(self) -> int:
            return self.cost

        @tieout.start(to="issue")
        def deduct(self, tx: blocking.Transaction) -> Next:
            note(tx, self.id, "deduct")
            took = tx.execute(
                "UPDATE account SET points = points - :cost WHERE name = :user AND points >= :cost",
                cost=self.price,
                user=self.user,
            )
            if not took:
                raise tieout.Refused("no points")
            return self.issue.next(sku="mug")

        @tieout.call(**options)
        def issue(self, send: Sending, sku: str) -> Answer[Prize]:
            return self.deps.issue(send)

        @issue.query
        def find(self, send: Sending, sku: str) -> Found[Prize]:
            return self.deps.find(send)

        @issue.succeeded(to="completed")
        def complete(self, tx: blocking.Transaction, prize: Prize) -> Next:
            note(tx, self.id, "complete")
            return self.completed(prize)

        @issue.failed(to="refunded")
        def refund(self, tx: blocking.Transaction, why: Failed) -> Next:
            note(tx, self.id, "refund")
            return self.refunded(why.code)

    return Redeem
