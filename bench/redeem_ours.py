"""The redemption on tieout: `python -m bench.redeem_ours URL IN_FLIGHT REDEMPTIONS [count|RATE]`. Prints one JSON line.

With `count`, on SQLite, statements and transactions are counted; that costs time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from typing import Any

import msgspec

import tieout
from bench.pacing import drive
from tieout import Answer, Failed, Next, Sending, Succeeded, Transaction
from tieout.database import connect

USERS = 1_000

DEDUCT = "UPDATE account SET points = points - :points WHERE name = :name AND points >= :points"
CHANGE = "INSERT INTO points_change (id, name, points) VALUES (:id, :name, :points)"


class Prize(msgspec.Struct, frozen=True):
    """What the prize service answers."""

    code: str


class Redeem(tieout.Process[None], name="redeem", key="request_id", owner="user"):
    """Deduct and write the change; issue the prize in process; finish."""

    request_id: str
    user: str
    sku: str
    quantity: int

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: Transaction) -> Next:
        """The business writes."""
        if await tx.execute(DEDUCT, points=self.quantity, name=self.user) != 1:
            raise tieout.Refused("not enough points")
        await tx.execute(CHANGE, id=self.id, name=self.user, points=self.quantity)
        return self.issue.next(sku=self.sku, quantity=self.quantity)

    @tieout.call(timeout=2, identity=["code"])
    async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        """The call, in process."""
        del sku, quantity
        return Succeeded(Prize(send.key[:12]))

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        """The end."""
        del tx
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        """Never reached here."""
        del tx
        return self.refunded(why.code)


class Counting:
    """A database that counts the transactions that it is given to write."""

    def __init__(self, database: tieout.Database) -> None:
        self.database = database
        self.transactions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    async def transact(self, work: Any) -> Any:
        """Count it and run it."""
        self.transactions += 1
        return await self.database.transact(work)


async def run(
    url: str, in_flight: int, redemptions: int, rate: float = 0.0, *, count: bool = False
) -> dict[str, float]:
    """Redeem so often, so many at a time, or at a rate."""
    counted: Counter[str] = Counter()
    database = Counting(connect(url, hook=lambda what: counted.update([what.partition(":")[0]]))) if count else None
    app = tieout.App(url, sweep=False, database=database)
    app.register(Redeem)

    async def redeem(number: int) -> None:
        request = Redeem(request_id=os.urandom(16).hex(), user=f"user{number % USERS}", sku="mug", quantity=2)
        process = await app.start(request, wait=30)
        if process.state != "completed":
            raise SystemExit(f"a redemption ended as {process.state}")

    async with app:
        counted.clear()
        opened = database.transactions if database else 0
        commits = getattr(app.database, "commits", 0)
        result = await drive(redeem, redemptions, in_flight, rate)
        result["commits"] = getattr(app.database, "commits", 0) - commits
        if database is not None:
            result["statements"] = counted["statement"] / redemptions
            result["transactions"] = (database.transactions - opened) / redemptions
    return result


def main() -> None:
    """Run it as the command line says."""
    _, url, in_flight, redemptions, *more = sys.argv
    rate = 0.0 if more in ([], ["count"]) else float(more[0])
    result = asyncio.run(run(url, int(in_flight), int(redemptions), rate, count=more == ["count"]))
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
