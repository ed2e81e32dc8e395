"""The business of a failover: points for a prize, at a company that does a thing once for each key, and remembers."""

from __future__ import annotations

from collections import Counter

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction

TABLES = (
    "CREATE TABLE account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE taken (request VARCHAR(100) NOT NULL, what VARCHAR(20) NOT NULL)",
    "INSERT INTO account (name, points) VALUES ('ann', 0)",
)


class Company:
    """It outlives every server of ours, and has its own memory: what it issued for each key, and for which request."""

    def __init__(self) -> None:
        self.issued: dict[str, str] = {}
        self.sends: Counter[str] = Counter()

    def issue(self, key: str, request: str) -> Succeeded[str]:
        self.sends[request] += 1
        self.issued.setdefault(key, request)
        return Succeeded(key)

    def find(self, key: str) -> Found[str]:
        return Succeeded(key) if key in self.issued else NotFound()


class Redeem(tieout.Process, name="redeem", key="request_id"):
    """Each step leaves a row without an index of its own: what is done twice is there twice."""

    request_id: str
    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await tx.execute("UPDATE account SET points = points - 1 WHERE name = 'ann'")
        await tx.execute("INSERT INTO taken (request, what) VALUES (:request, 'deducted')", request=self.request_id)
        return self.issue.next()

    @tieout.call(timeout=2, query_after=1, key_valid="24h")
    async def issue(self, send: Sending) -> Answer[str]:
        return self.deps.issue(send.key, self.request_id)

    @issue.query
    async def find(self, send: Sending) -> Found[str]:
        return self.deps.find(send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: str) -> Next:
        await tx.execute("INSERT INTO taken (request, what) VALUES (:request, 'completed')", request=self.request_id)
        return self.completed(prize)

    @issue.failed(to="refused")
    async def give_up(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)
