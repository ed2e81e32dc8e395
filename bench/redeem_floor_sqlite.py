"""The redemption by hand on sqlite3, without tieout: one writer thread that commits what has queued in one COMMIT.

`python bench/redeem_floor_sqlite.py FILE BATCH IN_FLIGHT REDEMPTIONS STATEMENTS [count]`, where BATCH is the most
transactions of one commit and STATEMENTS is JSON with the text and parameter names of each statement. Prints one JSON
line. With `count`, statements and transactions are counted; that costs time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from redeem_floor_postgres import USERS, Statement

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
        connection.create_function("tieout_now", 0, lambda: time.time_ns() // 1_000, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if self.count:
            connection.set_trace_callback(self.see)
        cursor = connection.cursor()
        while (first := self.queue.get()) is not None:
            done = []
            cursor.execute("BEGIN IMMEDIATE")
            job: tuple[Work, asyncio.Future[Any]] | None = first
            while job is not None:
                cursor.execute("SAVEPOINT one")
                done.append((job[1], job[0](cursor)))
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


def answer(done: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, value in done:
        future.set_result(value)


async def run(
    file: str, batch: int, in_flight: int, redemptions: int, given: dict[str, Any], *, count: bool
) -> dict[str, Any]:
    deduct, change, insert, save = (Statement(*given[name]) for name in ("deduct", "change", "insert", "save"))
    writer = Writer(file, batch, asyncio.get_running_loop(), count=count)
    writer.start()
    left = iter(range(redemptions))

    def start(process: bytes, key: bytes, user: str, params: str, calls: str) -> Work:
        def work(cursor: sqlite3.Cursor) -> int:
            if cursor.execute(deduct.text, (2, user, 2)).rowcount != 1:
                raise SystemExit("not enough points")
            cursor.execute(change.text, change.args(id=process.hex(), name=user, points=2))
            args = insert.args(id=process, owner=user.encode(), request_key=key, params=params, calls=calls)
            return cursor.execute(insert.text, args).fetchone()[0]

        return work

    def finish(process: bytes, at: int, params: str, calls: str, result: str) -> Work:
        trail = json.dumps([{"to": "completed", "at": at, "source": "immediate", "by": "call", "n": 1}])

        def work(cursor: sqlite3.Cursor) -> None:
            args = save.args(id=process, params=params, calls=calls, trail=trail, result=result)
            if cursor.execute(save.text, args).rowcount != 1:
                raise SystemExit("lost a race that nobody ran")

        return work

    async def issue(process: bytes) -> str:
        return process.hex()[:12]

    async def client() -> None:
        for number in left:
            process, key, user = os.urandom(16), os.urandom(16).hex(), f"user{number % USERS}"
            params = json.dumps({"request_id": key, "user": user, "sku": "mug", "quantity": 2})
            entry: dict[str, Any] = {"n": 1, "step": "issue", "args": {"sku": "mug", "quantity": 2}}
            at = await writer.transact(start(process, key.encode(), user, params, json.dumps([entry])))
            code = await issue(process)
            value = {"code": code}
            entry["final"] = {"kind": "succeeded", "source": "immediate", "by": "call", "at": at, "value": value,
                              "identity": {"code": "0123456789abcdef"}}  # fmt: skip
            entry["closed"] = True
            await writer.transact(finish(process, at, params, json.dumps([entry]), json.dumps(value)))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    writer.queue.put(None)
    writer.join()
    return {
        "rate": redemptions / seconds,
        "cpu": cpu / seconds,
        "commits": writer.commits,
        "statements": writer.statements / redemptions,
        "transactions": writer.transactions / redemptions,
    }


if __name__ == "__main__":
    _, file, batch, in_flight, redemptions, given, *more = sys.argv
    work = run(file, int(batch), int(in_flight), int(redemptions), json.loads(given), count="count" in more)
    print(json.dumps(asyncio.run(work)))
