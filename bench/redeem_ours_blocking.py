"""The redemption on tieout without an event loop: `python -m bench.redeem_ours_blocking URL THREADS N [count]`.

Prints one JSON line. With `count`, on SQLite, statements and transactions are counted; that costs time.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from functools import partial
from typing import Any

import msgspec

import tieout
from bench.pacing import drive_threads
from bench.redeem_ours import CHANGE, DEDUCT, USERS, Counting, Prize
from tieout import Answer, Failed, Next, Sending, Succeeded, blocking
from tieout.blocking import app as blocking_app
from tieout.database import connect


class Redeem(tieout.Process[None], name="redeem", key="request_id", owner="user"):
    """Deduct and write the change; issue the prize in process; finish."""

    request_id: str
    user: str
    sku: str
    quantity: int

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    def deduct(self, tx: blocking.Transaction) -> Next:
        """The business writes."""
        if tx.execute(DEDUCT, points=self.quantity, name=self.user) != 1:
            raise tieout.Refused("not enough points")
        tx.execute(CHANGE, id=self.id, name=self.user, points=self.quantity)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @tieout.call(timeout=2, identity=["code"])
    def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        """The call, in process."""
        del sku, quantity
        return Succeeded(Prize(send.key[:12]))

    @issue.succeeded(to="completed")
    def complete(self, tx: blocking.Transaction, prize: Prize) -> Next:
        """The end."""
        del tx
        return self.completed(prize)

    @issue.failed(to="refunded")
    def refund(self, tx: blocking.Transaction, why: Failed) -> Next:
        """Never reached here."""
        del tx
        return self.refunded(why.code)


def run(url: str, threads: int, redemptions: int, *, count: bool = False) -> dict[str, float]:
    """Redeem so often, in so many threads."""
    counted: Counter[str] = Counter()
    if count:
        blocking_app.connect = partial(_counting, counted)  # type: ignore[attr-defined] # an App makes its own database
    app = blocking.App(url, sweep=False, limits=tieout.Limits(in_flight=2 * threads))
    app.register(Redeem)

    def redeem(number: int) -> None:
        request = Redeem(request_id=os.urandom(16).hex(), user=f"user{number % USERS}", sku="mug", quantity=2)
        process = app.start(request, wait=30)
        if process.state != "completed":
            raise SystemExit(f"a redemption ended as {process.state}")

    with app:
        database: Any = app.core.database
        counted.clear()
        opened, commits = getattr(database, "transactions", 0), getattr(database, "commits", 0)
        result = drive_threads(redeem, redemptions, threads)
        result["commits"] = getattr(database, "commits", 0) - commits
        result["statements"] = counted["statement"] / redemptions
        result["transactions"] = (getattr(database, "transactions", 0) - opened) / redemptions
    return result


def _counting(counted: Counter[str], url: str, *, blocking: bool) -> Any:
    return Counting(connect(url, hook=lambda what: counted.update([what.partition(":")[0]]), blocking=blocking))


if __name__ == "__main__":
    _, url, threads, redemptions, *more = sys.argv
    print(msgspec.json.encode(run(url, int(threads), int(redemptions), count=more == ["count"])).decode())
