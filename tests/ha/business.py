"""The business of a failover: points for a prize, at a company that does a thing once for each key, and remembers."""

from __future__ import annotations

from collections import Counter

import tieout
from tieout import Answer, App, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction, blocking

TABLES = (
    "CREATE TABLE account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE taken (request VARCHAR(100) NOT NULL, what VARCHAR(20) NOT NULL)",
    "INSERT INTO account (name, points) VALUES ('ann', 0)",
)


DEDUCT = "UPDATE account SET points = points - 1 WHERE name = 'ann'"
NOTE = "INSERT INTO taken (request, what) VALUES (:request, :what)"
"""It has no index of its own: what is done twice is there twice."""


async def fill(url: str) -> None:
    """Make the tables of tieout and of the business in a new database."""
    app = App(url)
    await app.migrate()
    for table in TABLES:
        await app.database.transact(lambda tx, sql=table: tx.execute(sql))
    await app.database.close()


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
    """Points for a prize, on an event loop: each step leaves a row."""

    request_id: str
    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        await tx.execute(DEDUCT)
        await tx.execute(NOTE, request=self.request_id, what="deducted")
        return self.issue.next()

    @tieout.call(timeout=2, query_after=1, key_valid="24h")
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
    async def give_up(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)


class PlainRedeem(tieout.Process, name="redeem", key="request_id"):
    """The same, without an event loop."""

    request_id: str
    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    def deduct(self, tx: blocking.Transaction) -> Next:
        tx.execute(DEDUCT)
        tx.execute(NOTE, request=self.request_id, what="deducted")
        return self.issue.next()

    @tieout.call(timeout=2, query_after=1, key_valid="24h")
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
    def give_up(self, tx: blocking.Transaction, why: Failed) -> Next:
        return self.refused(why.code)
