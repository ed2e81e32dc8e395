"""Where the suite of the process store finds one, and how it keeps transactions open side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmStore
from tieout.contracts import Database, Transaction
from tieout.process.record import Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.store import NewProcess

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]

SECOND = 1_000_000
HOUR = 3_600 * SECOND

PATIENCE = 20.0
"""Seconds after which a statement that was to wait, or to end, counts as one that never will."""


@dataclass(frozen=True)
class StoreSite:
    """An open, migrated, empty database and the stores on it.

    `waiting` tells how many transactions wait for another one's end now.
    """

    database: Database
    store: SqlProcessStore
    alarms: AlarmStore
    waiting: Callable[[], Awaitable[int]]

    async def insert(self, name: str, **changes: Any) -> Record:
        """Commit a new process and read it."""
        process = new_process(name, **changes)
        await self.database.transact(lambda tx: self.store.insert(tx, process))
        return await self.read(name)

    async def read(self, name: str) -> Record:
        """The committed row of a process that is there."""
        record = await self.database.read(lambda tx: self.store.read(tx, process_id(name)))
        assert record is not None
        return record

    async def save(self, record: Record, due_in: int | None = HOUR, **changes: Any) -> bool:
        """Commit a changed copy of a row."""
        changed = msgspec.structs.replace(record, **changes)
        return await self.database.transact(lambda tx: self.store.save(tx, changed, due_in))

    async def finish(self, name: str, state: str = "completed", result: str | None = "1") -> None:
        """Make a process final."""
        assert await self.save(await self.read(name), None, status="final", state=state, result=result, lane=None)

    async def claim(self, lanes: str = "a", share: int = 10, low: int = 0, **types: int) -> list[str]:
        """Commit a claim on lanes that are named by one letter each; the names of what was claimed, sorted."""
        return await self.database.transact(lambda tx: self.claimed(tx, lanes, share, low, **types))

    async def claimed(
        self, tx: Transaction, lanes: str = "a", share: int = 10, low: int = 0, **types: int
    ) -> list[str]:
        """The same, inside a transaction."""
        known = types or {"redeem": 1}
        records = await self.store.claim(tx, list(lanes), known, share, HOUR, low)
        return sorted(record.request_key.decode() for record in records)

    async def raise_alarm(self, alarm: NewAlarm) -> bool:
        """Commit an alarm; whether it said something new."""
        return await self.database.transact(lambda tx: self.alarms.raise_alarm(tx, alarm))


def process_id(name: str) -> bytes:
    """The id of a process that a test calls by a name."""
    return name.encode().rjust(16, b".")


def new_process(name: str, *, due_in: int | None = HOUR, **changes: Any) -> NewProcess:
    """A running process of type "redeem" on lane "a", and what is different about it."""
    process = NewProcess(
        process_id(name),
        "redeem",
        b"ann",
        name.encode(),
        1,
        "issue",
        "running",
        due_in,
        "a",
        '{"sku":"mug"}',
        '{"price":10}',
        '[{"n":1,"step":"issue","args":{"sku":"mug"}}]',
        None,
        None,
    )
    return msgspec.structs.replace(process, **changes)


class OpenTransaction:
    """A transaction that is given its statements one at a time, and stays open until it is told how to end."""

    def __init__(self, site: StoreSite) -> None:
        self.site = site
        self._given: asyncio.Queue[tuple[Work[Any], asyncio.Future[Any]] | None] = asyncio.Queue()
        self._task = asyncio.create_task(site.database.transact(self._work))

    def begin(self, work: Work[T]) -> asyncio.Future[T]:
        """Let it run something; what that comes to."""
        came_to: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._given.put_nowait((work, came_to))
        return came_to

    async def do(self, work: Work[T]) -> T:
        """Let it run something, and wait for that."""
        return await asyncio.wait_for(self.begin(work), PATIENCE)

    async def blocked(self, work: Work[T]) -> asyncio.Future[T]:
        """Let it run something that has to wait for another transaction, until it does wait."""
        before = await self.site.waiting()
        came_to = self.begin(work)
        async with asyncio.timeout(PATIENCE):
            while await self.site.waiting() <= before:
                assert not came_to.done(), "it did not wait"
                await asyncio.sleep(0.002)
        return came_to

    async def commit(self) -> None:
        """End it; its writes stay."""
        self._given.put_nowait(None)
        await asyncio.wait_for(self._task, PATIENCE)

    async def roll_back(self) -> None:
        """End it; its writes are undone."""
        self.begin(_give_up)
        try:
            await asyncio.wait_for(self._task, PATIENCE)
        except GivenUpError:
            return
        raise AssertionError("it was not rolled back")

    async def close(self) -> None:
        """Roll back what a test has left open."""
        if not self._task.done():
            self.begin(_give_up)
        await asyncio.wait((self._task,), timeout=PATIENCE)
        if self._task.done() and not self._task.cancelled():
            self._task.exception()

    async def _work(self, tx: Transaction) -> None:
        while (given := await self._given.get()) is not None:
            work, came_to = given
            try:
                came_to.set_result(await work(tx))
            except Exception as error:
                if work is not _give_up:
                    came_to.set_exception(error)
                raise


class GivenUpError(Exception):
    """The test wants this transaction to be rolled back."""


async def _give_up(_: Transaction) -> None:
    raise GivenUpError


@asynccontextmanager
async def two_open(site: StoreSite) -> AsyncIterator[tuple[OpenTransaction, OpenTransaction]]:
    """Two transactions that are open at the same time."""
    first, second = OpenTransaction(site), OpenTransaction(site)
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()
