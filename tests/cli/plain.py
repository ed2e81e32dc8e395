"""The shop without an event loop, beside `shop`: the same types and database, plain steps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shop import MOOD, Prize, mark, mood

from tieout import Answer, Failed, Final, Found, Next, NotFound, Process, Sending, Succeeded, blocking, call, start

__all__ = ["MOOD", "Prize"]

app = blocking.App(os.environ["SHOP_DB"])


def answer(way: str, key: str, sku: str) -> Answer[Prize]:
    """What the downstream says, as its file has it."""
    match mood(way):
        case "succeed":
            return Succeeded(Prize(f"A-{key[-1]}", sku))
        case "fail":
            return Failed("sold-out")
        case "hang":
            mark("called")
            while mood(way) == "hang":
                time.sleep(0.02)
            return Succeeded(Prize(f"A-{key[-1]}", sku))
    raise ConnectionResetError("no answer")


@app.register
class Redeem(Process[None], name="redeem", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str = "mug"

    completed = Final[Prize]()
    refunded = Final[str]()

    @start(to="issue")
    def deduct(self, tx: blocking.Transaction) -> Next:
        return self.issue.next(sku=self.sku)

    @call(timeout=10, query_after=0.1, settle=0, identity=["code"], echo={"sku": "sku"}, lane="prizes")
    def issue(self, send: Sending, sku: str) -> Answer[Prize]:
        return answer("call", send.key, sku)

    @issue.query
    def find(self, send: Sending, sku: str) -> Found[Prize]:
        return NotFound() if mood("query") == "not-found" else answer("query", send.key, sku)

    @issue.succeeded(to="completed")
    def complete(self, tx: blocking.Transaction, prize: Prize) -> Next:
        tx.execute("INSERT INTO delivered (id, code) VALUES (:id, :code)", id=self.id, code=prize.code)
        return self.completed(prize)

    @issue.failed(to="refunded")
    def refund(self, tx: blocking.Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


def made() -> blocking.App:
    return app


@contextmanager
def entered() -> Iterator[blocking.App]:
    mark("entered")
    yield app
    mark("left")
