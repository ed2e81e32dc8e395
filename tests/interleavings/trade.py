"""The business that is interleaved: a process type whose steps each leave one note, and its tables."""

from __future__ import annotations

from typing import Any

import msgspec

import tieout
from tieout import Answer, Cancelled, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction

TABLES = (
    "CREATE TABLE IF NOT EXISTS account (name VARCHAR(20) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS note (process VARCHAR(40) NOT NULL, what VARCHAR(20) NOT NULL)",
)
POINTS = 100
"""What the account has at first."""

FEE = 60
"""What a trade with a fee takes from it: enough for one."""

CLOSING = {"complete": "done", "refund": "refunded", "undo": "undone"}
"""The steps that end a trade, and the final state that each leads to."""


class Prize(msgspec.Struct):
    """What the downstream answers."""

    code: str
    sku: str = "mug"


class Desk:
    """The downstream: what it says when it is asked and when it is sent something, and how often it was."""

    def __init__(self, found: Any = None, answer: Any = None) -> None:
        self.found = NotFound() if found is None else found
        self.answer = Succeeded(Prize("A1")) if answer is None else answer
        self.asked = 0
        self.sent = 0


class Trade(tieout.Process[Desk], name="trade", key="number"):
    """Takes a fee if there is one, then issues a prize."""

    number: str
    fee: int = 0
    size: int = 1

    done = tieout.Final[Prize]()
    refunded = tieout.Final[str]()
    undone = tieout.Final[str]()

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        if self.fee:
            await pay(tx, self.fee)
        await note(tx, self.id, "begin")
        return self.issue.next(sku="mug")

    @tieout.call(timeout=5, query_after=60, settle=0, identity=["code"], echo={"sku": "sku"})
    async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        self.deps.sent += 1
        return self.deps.answer

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        self.deps.asked += 1
        return self.deps.found

    @issue.succeeded(to="done")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        await note(tx, self.id, "complete")
        return self.done(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await note(tx, self.id, "refund")
        return self.refunded(why.code)

    @tieout.cancel(to="undone")
    async def undo(self, tx: Transaction, why: Cancelled) -> Next:
        await note(tx, self.id, "undo")
        return self.undone(why.reason)


async def pay(tx: Transaction, fee: int) -> None:
    """Take a fee from the account; raise `Refused` when it holds too little."""
    sql = "UPDATE account SET points = points - :fee WHERE name = 'ann' AND points >= :fee"
    if not await tx.execute(sql, fee=fee):
        raise tieout.Refused("too few points")


async def note(tx: Transaction, process: str, what: str) -> None:
    """A business write that nothing but the engine keeps from happening twice."""
    await tx.execute("INSERT INTO note (process, what) VALUES (:process, :what)", process=process, what=what)
