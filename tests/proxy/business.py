"""The business behind the network: points for a prize, at a company that keeps its own books."""

from __future__ import annotations

from collections import Counter
from random import Random
from threading import Lock

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction, blocking

TABLES = (
    "CREATE TABLE account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE taken (request VARCHAR(100) NOT NULL, what VARCHAR(20) NOT NULL)",
    "CREATE TABLE written (request VARCHAR(100) NOT NULL)",
)
"""What is taken has no index: what is done twice is there twice."""

TAKE = "UPDATE account SET points = points - 1 WHERE name = :name"
GIVE = "UPDATE account SET points = points + 1 WHERE name = :name"
WRITE = "INSERT INTO written (request) VALUES (:request)"
NOTE = "INSERT INTO taken (request, what) VALUES (:request, :what)"

CALL = {"timeout": 2, "query_after": 0.3, "settle": 0.5, "key_valid": "24h", "retry_cap": 2}

REFUSES, FORGETS = 0.15, 0.1
"""How often the company refuses, and how often it does a thing and its answer is lost."""


class Company:
    """It does a thing once for each key, and remembers for which request it did it, and how often it was asked."""

    def __init__(self, seed: int) -> None:
        self.issued: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._chance = Random(seed)
        self._lock = Lock()

    def issue(self, key: str, request: str) -> Answer[str]:
        with self._lock:
            self.counts["sent"] += 1
            if key not in self.issued and key not in self.refused:
                books = self.refused if self._chance.random() < REFUSES else self.issued
                books[key] = request
                if self._chance.random() < FORGETS:
                    self.counts["answers that the company lost"] += 1
                    raise ConnectionResetError("the company's answer is lost")
            return self._known(key)

    def find(self, key: str) -> Found[str]:
        with self._lock:
            self.counts["queried"] += 1
            return self._known(key) if key in self.issued or key in self.refused else NotFound()

    def _known(self, key: str) -> Succeeded[str] | Failed:
        return Succeeded(key) if key in self.issued else Failed("sold-out")


class Redeem(tieout.Process[Company], name="redeem", key="request_id"):
    """For an event loop."""

    request_id: str
    account: str
    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await tx.execute(TAKE, name=self.account)
        await tx.execute(NOTE, request=self.request_id, what="deducted")
        return self.issue.next()

    @tieout.call(**CALL)
    async def issue(self, send: Sending) -> Answer[str]:
        return self.deps.issue(send.key, self.request_id)

    @issue.query
    async def find(self, send: Sending) -> Found[str]:
        return self.deps.find(send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: str) -> Next:
        await tx.execute(NOTE, request=self.request_id, what="completed")
        return self.completed(prize)

    @issue.failed(to="refused")
    async def give_back(self, tx: Transaction, why: Failed) -> Next:
        await tx.execute(GIVE, name=self.account)
        await tx.execute(NOTE, request=self.request_id, what="given back")
        return self.refused(why.code)


class RedeemInThreads(tieout.Process[Company], name="redeem", key="request_id"):
    """The same for threads."""

    request_id: str
    account: str
    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    def deduct(self, tx: blocking.Transaction) -> Next:
        tx.execute(TAKE, name=self.account)
        tx.execute(NOTE, request=self.request_id, what="deducted")
        return self.issue.next()

    @tieout.call(**CALL)
    def issue(self, send: Sending) -> Answer[str]:
        return self.deps.issue(send.key, self.request_id)

    @issue.query
    def find(self, send: Sending) -> Found[str]:
        return self.deps.find(send.key)

    @issue.succeeded(to="completed")
    def complete(self, tx: blocking.Transaction, prize: str) -> Next:
        tx.execute(NOTE, request=self.request_id, what="completed")
        return self.completed(prize)

    @issue.failed(to="refused")
    def give_back(self, tx: blocking.Transaction, why: Failed) -> Next:
        tx.execute(GIVE, name=self.account)
        tx.execute(NOTE, request=self.request_id, what="given back")
        return self.refused(why.code)
