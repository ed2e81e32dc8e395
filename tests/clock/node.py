"""One node whose clock may be wrong: `python -m tests.clock.node URL NAME REQUESTS [wrong]`.

It starts redemptions and works on what is due until its standard input is closed; each second it says how far its wall
clock is from the server's. A wrong node reads its own clock where the engine carries on the server's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import tieout
from tieout import Answer, App, Failed, Found, Limits, Next, NotFound, Sending, Succeeded, Transaction, Unknown
from tieout.process.record import Record

SETTLE = 1.5
"""Seconds for which "not found" is not believed after a send."""

PACE = 0.05
"""Seconds between two requests of a node."""

SLOW = 0.3
"""Seconds that the downstream takes."""

QUICK = Limits(sweep_every=0.1)
OPTIONS: dict[str, Any] = {"timeout": 1, "query_after": 0.2, "settle": SETTLE, "retry_cap": 0.3}


class Downstream:
    """Keeps what it was sent in a table, with the server's time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.database: Any = None

    async def take(self, send: Sending) -> int:
        """Note a send; how often the key has been sent by now."""

        async def work(tx: Transaction) -> int:
            insert = "INSERT INTO sent (call_key, node, at) VALUES (:key, :node, {now})"
            await tx.execute(insert, key=send.key, node=self.name)
            return await self.count(tx, send)

        taken: int = await self.database.transact(work)
        return taken

    async def count(self, tx: Transaction, send: Sending) -> int:
        row = await tx.fetch_one("SELECT count(*) FROM sent WHERE call_key = :key", key=send.key)
        return 0 if row is None else int(row[0])


class Redeem(tieout.Process[Downstream]):
    """What the three kinds share."""

    request_id: str

    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()


class Steady(Redeem, name="steady", key="request_id"):
    """Answered, if slowly: nobody but who started it ever works on it."""

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(**OPTIONS)
    async def issue(self, send: Sending) -> Answer[str]:
        await self.deps.take(send)
        await asyncio.sleep(SLOW)
        return Succeeded("done")

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, answer: str) -> Next:
        return self.completed(answer)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


class Lost(Redeem, name="lost", key="request_id"):
    """The first send is lost: it is sent again once the settle time has passed."""

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(**OPTIONS)
    async def issue(self, send: Sending) -> Answer[str]:
        return Succeeded("done") if await self.deps.take(send) > 1 else Unknown("lost")

    @issue.query
    async def find(self, send: Sending) -> Found[str]:
        sent = await self.deps.database.read(lambda tx: self.deps.count(tx, send))
        return Succeeded("done") if sent > 1 else NotFound()

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, answer: str) -> Next:
        return self.completed(answer)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


class Once(Redeem, name="once", key="request_id"):
    """Its answer is lost, and it may be sent once only."""

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(idempotent=False, **OPTIONS)
    async def issue(self, send: Sending) -> Answer[str]:
        await self.deps.take(send)
        return Unknown("lost")

    @issue.query
    async def find(self, send: Sending) -> Found[str]:
        return Succeeded("done") if await self.deps.database.read(lambda tx: self.deps.count(tx, send)) else NotFound()

    @issue.succeeded(to="completed")
    async def complete(self, tx: Transaction, answer: str) -> Next:
        return self.completed(answer)

    @issue.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


KINDS = (Steady, Steady, Lost, Once)


async def main(url: str, name: str, requests: int) -> None:
    """Start so many, and work until it is told to end."""
    downstream = Downstream(name)
    app = App(url, deps=downstream, limits=QUICK)
    downstream.database = app.database
    for kind in dict.fromkeys(KINDS):
        app.register(kind)
    async with app:
        told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        watch = asyncio.create_task(tell_skew(app))
        for number in range(requests):
            await app.start(KINDS[number % len(KINDS)](request_id=f"{name}-{number}"))
            await asyncio.sleep(PACE)
        await told
        watch.cancel()


async def tell_skew(app: App) -> None:
    """Say how many seconds this machine's clock is ahead of the server's."""
    while True:
        server = await app.database.read(app.store.server_time)
        print(round(time.time() - server / 1e6), flush=True)
        await asyncio.sleep(0.2)


def own_time(record: Record, monotonic: float) -> int:
    """What a wrong engine takes for the server's time."""
    return time.time_ns() // 1_000


if __name__ == "__main__":
    _, url, name, requests, *wrong = sys.argv
    if wrong:
        Record.server_time = own_time
    asyncio.run(main(url, name, int(requests)))
