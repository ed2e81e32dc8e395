"""A business whose every step leaves a row, and a downstream on another machine: it survives this one's power cuts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction, Unknown

TABLES = (
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, points INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS posting (process TEXT NOT NULL, what TEXT NOT NULL, points INTEGER NOT NULL)",
)
ACCOUNTS = 4
POINTS = 1_000_000
"""What each account has at first."""

COST = 10
"""What a redemption takes."""

LETTER = "dear customer, " * 20
"""Makes the rows of a process long enough that they leave one page for another."""


class Prize(msgspec.Struct, frozen=True):
    """What the downstream answers."""

    code: str
    letter: str = LETTER


class Prizes:
    """The downstream: what became of a key is decided by the key, once. `tell` hears of each effect before its answer.

    A share of the answers is lost, with the effect or without it.
    """

    def __init__(self, tell: Callable[[str], None], known: dict[str, str], lost: float = 0.25) -> None:
        self.known = known
        self._tell = tell
        self._lost = lost
        self._tries: dict[str, int] = {}

    async def issue(self, send: Sending) -> Answer[Prize]:
        tries = self._tries[send.key] = self._tries.get(send.key, 0) + 1
        chance = Random(f"{send.key} {tries}").random()
        if chance < self._lost / 2 and tries < 3:
            return Unknown("it never arrived")
        if send.key not in self.known:
            outcome = "failed" if Random(send.key).random() < 0.2 else "succeeded"
            self._tell(f"effect {send.key} {outcome}")
            self.known[send.key] = outcome
        return Unknown("the answer was lost") if chance < self._lost and tries < 3 else self._answer(send.key)

    async def find(self, send: Sending) -> Found[Prize]:
        return self._answer(send.key) if send.key in self.known else NotFound()

    def _answer(self, key: str) -> Any:
        return Failed("sold-out") if self.known[key] == "failed" else Succeeded(Prize(key))


class Redeem(tieout.Process[Prizes], name="redeem", key="request_id", owner="user"):
    """Points for a prize."""

    request_id: str
    user: str

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await tx.execute("UPDATE account SET points = points - :cost WHERE name = :user", cost=COST, user=self.user)
        await note(tx, self.id, "deduct", COST)
        return self.issue.next(sku="mug")

    @tieout.call(timeout=1, query_after=0.05, settle=0.2, retry_cap=0.2, identity=["code"])
    async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        return await self.deps.issue(send)

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[Prize]:
        return await self.deps.find(send)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        await note(tx, self.id, "complete", 0)
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        await tx.execute("UPDATE account SET points = points + :cost WHERE name = :user", cost=COST, user=self.user)
        await note(tx, self.id, "refund", -COST)
        return self.refunded(why.code)


async def note(tx: Transaction, process: str, what: str, points: int) -> None:
    """Write what a step did; nothing in the table makes that happen only once."""
    await tx.execute(
        "INSERT INTO posting (process, what, points) VALUES (:process, :what, :points)",
        process=process,
        what=what,
        points=points,
    )
