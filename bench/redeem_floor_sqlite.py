"""The redemption by hand on sqlite3, without tieout: one writer thread that commits what has queued in one COMMIT.

`python -m bench.redeem_floor_sqlite FILE BATCH IN_FLIGHT REDEMPTIONS STATEMENTS [count|RATE]`, where BATCH is the most
transactions of one commit and STATEMENTS is JSON with the text and parameter names of each statement. Prints one JSON
line. With `count`, statements and transactions are counted; that costs time.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from bench.pacing import drive
from bench.redeem_by_hand import TIMEOUT, Request, ended, issue, request, started, statements

Work = Callable[[sqlite3.Cursor], Any]


class Writer(threading.Thread):
    """Takes what is queued, runs each in a savepoint, commits once, and tells all who wait."""

    def __init__(self, file: str, batch: int, loop: asyncio.AbstractEventLoop, *, count: bool) -> None:
        super().__init__(daemon=True)
        self.file, self.batch, self.loop = file, batch, loop
        self.queue: SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = SimpleQueue()
        self.commits = 0
        self.transactions = 0
        self.statements = 0
        self.count = count

    def run(self) -> None:
        connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False, cached_statements=256)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if self.count:
            connection.set_trace_callback(self.see)
        cursor = connection.cursor()
        while (first := self.queue.get()) is not None:
            done: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
            cursor.execute("BEGIN IMMEDIATE")
            job: tuple[Work, asyncio.Future[Any]] | None = first
            while job is not None:
                cursor.execute("SAVEPOINT one")
                try:
                    done.append((job[1], job[0](cursor), None))
                except Exception as error:  # noqa: BLE001 - it is for the one who waits
                    cursor.execute("ROLLBACK TO one")
                    done.append((job[1], None, error))
                cursor.execute("RELEASE one")
                if len(done) == self.batch:
                    break
                try:
                    job = self.queue.get_nowait()
                except Empty:
                    job = None
            cursor.execute("COMMIT")
            self.commits += 1
            self.loop.call_soon_threadsafe(answer, done)
        connection.close()

    def see(self, statement: str) -> None:
        self.transactions += statement.startswith("SAVEPOINT")
        self.statements += not statement.startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "PRAGMA", "--"))

    def transact(self, work: Work) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.loop.create_future()
        self.queue.put((work, future))
        return future


def answer(done: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, value, error in done:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


async def run(
    file: str, batch: int, in_flight: int, redemptions: int, given: str, rate: float, *, count: bool
) -> dict[str, float]:
    deduct, change, insert, save = statements(given)
    writer = Writer(file, batch, asyncio.get_running_loop(), count=count)
    writer.start()

    def start(one: Request) -> Work:
        def work(cursor: sqlite3.Cursor) -> Any:
            if cursor.execute(deduct.text, deduct.args(points=2, name=one.user)).rowcount != 1:
                raise ValueError("not enough points")
            cursor.execute(change.text, change.args(id=one.process.hex(), name=one.user, points=2))
            return cursor.execute(insert.text, insert.args(**started(one))).fetchone()[0]

        return work

    def finish(one: Request, at: int, code: str) -> Work:
        def work(cursor: sqlite3.Cursor) -> None:
            if cursor.execute(save.text, save.args(**ended(one, at, code))).rowcount != 1:
                raise ValueError("lost a race that nobody ran")

        return work

    async def redeem(number: int) -> None:
        one = request(number)
        at = await writer.transact(start(one))
        async with asyncio.timeout(TIMEOUT):
            code = await issue(one.process)
        await writer.transact(finish(one, at, code))

    result = await drive(redeem, redemptions, in_flight, rate)
    writer.queue.put(None)
    writer.join()
    return result | {
        "commits": writer.commits,
        "statements": writer.statements / redemptions,
        "transactions": writer.transactions / redemptions,
    }


if __name__ == "__main__":
    _, file, batch, in_flight, redemptions, given, *more = sys.argv
    rate = 0.0 if more in ([], ["count"]) else float(more[0])
    work = run(file, int(batch), int(in_flight), int(redemptions), given, rate, count=more == ["count"])
    print(json.dumps(asyncio.run(work)))
