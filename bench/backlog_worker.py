"""A worker with a backlog: `python -m bench.backlog_worker URL LANES DEAD DUE`. Prints one JSON line.

Of its lanes the last `DEAD` do not answer. It ends when nothing of the others is due any more.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import msgspec

import tieout
from tieout import Answer, App, Failed, Found, Next, Sending, Succeeded, Transaction

LOOK_EVERY = 0.1
"""Seconds between two looks whether all is done."""

SINCE_LAST = 1.0
"""Seconds without an answer after which the table is asked whether all is done."""


class Prize(msgspec.Struct, frozen=True):
    """What the downstream answers."""

    code: str


class Downstream:
    """Answers at once, or never."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.last = time.monotonic()

    async def find(self, send: Sending, *, is_dead: bool) -> Found[Prize]:
        """The answer to a query."""
        if is_dead:
            await asyncio.Event().wait()
        self.asked[send.key] += 1
        self.last = time.monotonic()
        return Succeeded(Prize(send.key))


def kind(number: int, *, is_dead: bool) -> Any:
    """A process type with a lane of its own."""

    class Redeem(tieout.Process[Downstream], name=f"redeem{number}", key="request_id"):
        request_id: str

        completed = tieout.Final[Prize]()
        refunded = tieout.Final[str]()

        @tieout.start(to="issue")
        async def begin(self, tx: Transaction) -> Next:
            return self.issue.next(sku="mug")

        @tieout.call(timeout=1, lane=f"lane{number}", identity=["code"])
        async def issue(self, send: Sending, sku: str) -> Answer[Prize]:
            return Succeeded(Prize(send.key))

        @issue.query
        async def find(self, send: Sending, sku: str) -> Found[Prize]:
            return await self.deps.find(send, is_dead=is_dead)

        @issue.succeeded(to="completed")
        async def complete(self, tx: Transaction, prize: Prize) -> Next:
            return self.completed(prize)

        @issue.failed(to="refunded")
        async def refund(self, tx: Transaction, why: Failed) -> Next:
            return self.refunded(why.code)

    return Redeem


def opened(url: str, lanes: int, dead: int, *, sweep: bool) -> App:
    """An App that knows all types; not open yet."""
    app = App(url, deps=Downstream(), sweep=sweep, migrate=False)
    for number in range(lanes):
        app.register(kind(number, is_dead=number >= lanes - dead))
    return app


class Timed:
    """Lets an App's claims be timed, in seconds: whole ones, and of each the statement alone."""

    def __init__(self, app: App) -> None:
        self.whole: list[float] = []
        self.statement: list[float] = []
        claiming, store = app.engine.claiming, app.store
        claiming.claim = self._timing(claiming.claim, self.whole)  # type: ignore[method-assign]  # timed from outside
        store.claim = self._timing(store.claim, self.statement)  # type: ignore[method-assign]  # timed from outside

    def clear(self) -> None:
        """Forget what was timed."""
        self.whole.clear()
        self.statement.clear()

    def _timing(self, work: Any, seconds: list[float]) -> Any:
        async def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            found = await work(*arguments)
            seconds.append(time.perf_counter() - began)
            return found

        return timed


async def run(url: str, lanes: int, dead: int) -> dict[str, Any]:
    """Work until nothing is due on the lanes that answer."""
    app = opened(url, lanes, dead, sweep=True)
    downstream: Downstream = app.engine.world.deps
    timed = Timed(app)
    alive = [f"lane{number}" for number in range(lanes - dead)]
    began, cpu = time.monotonic(), time.process_time()
    async with app:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if time.monotonic() - downstream.last > SINCE_LAST and not await left(app, alive):
                break
        drained, cpu = downstream.last - began, time.process_time() - cpu
        app.worker.limits = msgspec.structs.replace(app.worker.limits, drain=0.0)
    return {
        "seconds": drained,
        "cpu": cpu,
        "claims": timed.whole,
        "statements": timed.statement,
        "asked": downstream.asked,
    }


async def left(app: App, lanes: list[str]) -> int:
    """How many processes of these lanes are not final."""
    there = "SELECT count(*) FROM tieout_process WHERE due IS NOT NULL AND lane = ANY (:lanes::text[])"
    (row,) = await app.database.read(lambda tx: tx.fetch(there, lanes=lanes))
    return int(row[0])


if __name__ == "__main__":
    _, url, lanes, dead = sys.argv
    print(json.dumps(asyncio.run(run(url, int(lanes), int(dead)))))
