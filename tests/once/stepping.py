"""Two requests, taken through their transactions one step at a time, in every order there is."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from msgspec import structs

from tieout.contracts import Database, Transaction
from tieout.database.query import Compiled, Statements
from tieout.once.lock_first import LockFirst
from tieout.once.row_first import RowFirst
from tieout.once.rules import Request
from tieout.once.store import Claim, OnceStore

STEPS = 4
"""Of a request that is first: claim, effect, keep, commit."""

SETTLED = 60.0
"""Seconds after which an order that has not come to its end is stuck."""

WHO = {"postgres": "SELECT pg_backend_pid() AS pid", "mysql": "SELECT CONNECTION_ID() AS pid"}
WAITING = {
    "postgres": "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.PROCESSLIST"
    " WHERE id = :pid AND command = 'Query' AND time_ms > 30",
}
"""Whether a connection waits for another one's lock. MariaDB's list of lock waits is too old to ask: what has been at
one statement for long is taken to wait, and if it does not, the order is another one than was meant."""


def orders() -> Iterator[str]:
    """Every order of the steps of A and B: 70 of them."""
    for places in itertools.combinations(range(2 * STEPS), STEPS):
        yield "".join("A" if place in places else "B" for place in range(2 * STEPS))


class Actor:
    """One request. It stops before each step until it is let go on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at: list[str] = []
        self.pid = 0
        self._stopped = asyncio.Event()
        self._go = asyncio.Semaphore(0)
        self._free = False
        self.task: asyncio.Task[Any] | None = None

    async def stop(self, step: str) -> None:
        """Wait to be let go on."""
        if not self._free:
            self._stopped.set()
            await self._go.acquire()
        self.at.append(step)

    async def step(self, blocked: Callable[[int], Awaitable[bool]]) -> None:
        """Let it take one step; return when it stops again, has ended, or waits for a lock in the database."""
        if self.task is None or self.task.done() or not self._stopped.is_set():
            return
        self._stopped.clear()
        self._go.release()
        async with asyncio.timeout(SETTLED):
            while not (self._stopped.is_set() or self.task.done()):
                await asyncio.sleep(0.001)
                if await blocked(self.pid):
                    return

    async def arrive(self) -> None:
        """Return when it stands before its first step."""
        async with asyncio.timeout(SETTLED):
            await self._stopped.wait()

    def set_free(self) -> None:
        """Let it run to its end."""
        self._free = True
        self._go.release()


class SteppedDatabase:
    """A database whose transactions stop before each statement and before their commit."""

    def __init__(self, database: Database, actor: Actor) -> None:
        self._database = database
        self._actor = actor
        self.read = database.read

    async def transact(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        async def stepped(tx: Transaction) -> Any:
            self._actor.pid = (await tx.fetch_one(WHO[tx.dialect]))[0]
            result = await work(SteppedTransaction(tx, self._actor))
            await self._actor.stop("commit")
            return result

        return await self._database.transact(stepped)


class SteppedTransaction:
    """The transaction of one of them."""

    def __init__(self, tx: Transaction, actor: Actor) -> None:
        self.dialect = tx.dialect
        self._tx = tx
        self._actor = actor

    async def execute(self, sql: Any, /, **params: Any) -> int:
        await self._actor.stop(getattr(sql, "name", "effect"))
        return await self._tx.execute(sql, **params)

    async def fetch_one(self, sql: Any, /, **params: Any) -> Any:
        await self._actor.stop(getattr(sql, "name", "effect"))
        return await self._tx.fetch_one(sql, **params)


class BlindLocks(LockFirst):
    """A store whose locks tell nothing: every request believes that it is the first."""

    async def claim(self, tx: Transaction, request: Request, keep: int) -> Claim:
        await super().claim(tx, other(request, self), keep)
        return Claim(free=True, stored=None)


class BlindRows(RowFirst):
    """The same where a claim writes the row."""

    def __init__(self, dialect: str) -> None:
        super().__init__(dialect)
        statements = {statement.name: statement for statement in self.claims}
        for name in ("begin_row", "begin_named_row"):
            began = statements[name]
            text, found = re.subn(r"GET_LOCK\((.*), 0\)", r"\1 IS NOT NULL", began.text)
            assert found == 1
            statements[name] = Compiled(name, text, began.params, dialect)
        self.claims = Statements(statements)


def blind_store(dialect: str) -> OnceStore:
    """A store for this database whose locks tell nothing."""
    return BlindRows(dialect) if dialect == "mysql" else BlindLocks(dialect)


def other(request: Request, whose: object) -> Request:
    """A request that nobody else makes."""
    return structs.replace(request, id=b"\0" * 15 + bytes([id(whose) % 256]))
