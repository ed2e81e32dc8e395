"""SQLite: for a service on one machine, for tests, and for trying tieout out."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NoReturn, TypeVar, cast

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database.sqlite_commit import Committer, Member
from tieout.database.sqlite_files import cannot_open, warn_if_remote
from tieout.database.sqlite_session import Hook, Session, SqliteTransaction, read
from tieout.database.sqlite_threads import Desk, Job, Mailbox, Reader, Writer
from tieout.errors import AppClosed, AppForked, AwaitInTransaction, DatabaseUnavailable

T = TypeVar("T")

READERS = 4
"""Threads that read side by side: more than the processors of a small machine, few enough to start at once."""

STREAMS = 16
"""Streams open at a time: each holds a connection, and keeps the log from being emptied."""


_forked: list[object] = []


def microseconds() -> int:
    """This machine's time, in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


class _Sqlite:
    dialect = "sqlite"

    def __init__(self, path: Path | None, clock: Callable[[], int] = microseconds, hook: Hook | None = None) -> None:
        self._path = None if path is None else path.absolute()
        self._clock = clock
        self._hook = hook
        self._pid = 0
        self._committer: Committer | None = None

    @property
    def commits(self) -> int:
        """How many commits were made since it was opened: fewer than transactions, when some shared one."""
        return self._committer.commits if self._committer else 0

    def _session(self, *, reading: bool = False) -> Session:
        try:
            return Session(self._path, self._clock, reading=reading)
        except sqlite3.Error as error:
            raise cannot_open(self._path, error) from error

    def _refuse(self) -> NoReturn:
        if not self._pid:
            raise AppClosed("the database is not open")
        raise AppForked("the database was opened before a fork: open it in this process")


class SqliteDatabase(_Sqlite):
    """One file, or a database in memory (path None), written by one thread in group commits.

    Usable from any event loop of the process. `read` and `stream` of a file run beside the writer; those of a
    database in memory wait their turn.
    """

    def __init__(self, path: Path | None, clock: Callable[[], int] = microseconds, hook: Hook | None = None) -> None:
        super().__init__(path, clock, hook)
        self._writes = Mailbox()
        self._reads = Mailbox()
        self._threads: list[Thread] = []
        self._desk: Desk | None = None
        self._streams = 0

    async def open(self) -> None:
        if self._pid == os.getpid():
            return
        # Connections that came through a fork may not even be closed here: they are the parent's.
        if self._pid:
            _forked.append((self._threads, self._committer))
        self._writes, self._reads, self._desk, self._streams = Mailbox(), Mailbox(), None, 0
        self._threads = await self._apart(self._start)
        self._pid = os.getpid()

    def _start(self) -> list[Thread]:
        session = self._session()
        self._committer = Committer(session, self._hook)
        threads: list[Thread] = [Writer(session, self._committer, self._writes)]
        if self._path is not None:
            warn_if_remote(self._path)
            threads += [Reader(self._session(reading=True), self._reads) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        return threads

    async def close(self) -> None:
        if self._pid != os.getpid():
            return
        self._pid = 0
        (writer, *readers), self._threads = self._threads, []
        # The last connection to go empties the log into the file: let it be the one that may write.
        self._reads.close(len(readers))
        for reader in readers:
            await self._apart(reader.join)
        self._writes.close(1)
        await self._apart(writer.join)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        result: T = await self._outcome(self._queued(work))
        return result

    def _queued(self, work: Callable[[Transaction], Awaitable[Any]], *, reading: bool = False) -> Job:
        if self._pid != os.getpid():
            self._refuse()
        loop = asyncio.get_running_loop()
        desk = self._desk
        if desk is None or desk.loop is not loop:
            desk = self._desk = Desk(loop, self._writes)
        job = Job(work, loop, reading=reading)
        desk.leave(job)
        return job

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        if self._path is None:
            result: T = await self._outcome(self._queued(work, reading=True))
        else:
            result = await self._ask(lambda session: read(session, work))
        return result

    async def _ask(self, work: Callable[[Session], Any]) -> Any:
        if self._pid != os.getpid():
            self._refuse()
        job = self._job(work)
        self._reads.put([job])
        return await self._outcome(job)

    def _job(self, work: Callable[[Session], Any]) -> Job:
        return Job(work, asyncio.get_running_loop())

    def _outcome(self, job: Job) -> Awaitable[Any]:
        """What becomes of a job that is queued."""
        return job.future

    async def _apart(self, work: Callable[[], T]) -> T:
        """Run what blocks where it blocks nobody."""
        return await asyncio.to_thread(work)

    async def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        if self._path is None:
            for rows in _slices(await self.read(lambda tx: tx.fetch(sql, **params)), batch):
                yield rows
            return
        if self._streams == STREAMS:
            raise DatabaseUnavailable(f"{STREAMS} streams are open already")
        self._streams += 1
        result = _Result(partial(self._session, reading=True), sql, params)
        try:
            while rows := await self._ask(lambda _: result.following(batch)):
                yield rows
        finally:
            self._streams -= 1
            await self._ask(lambda _: result.close())


class _Result:
    """The rows of one statement, fetched bit by bit on a connection of their own: one snapshot throughout."""

    def __init__(self, opening: Callable[[], Session], sql: str | Statement, params: dict[str, Param]) -> None:
        self._opening = opening
        self._sql = sql
        self._params = params
        self._session: Session | None = None
        self._tx: SqliteTransaction | None = None
        self._lock = Lock()  # a consumer that is cancelled closes it while rows may still be fetched

    def following(self, batch: int) -> Sequence[Row]:
        with self._lock:
            if self._tx is None:
                self._session = self._opening()
                self._session.run("BEGIN")
                self._tx = SqliteTransaction(self._session, reading=True)
                self._tx.start(self._sql, self._params)
            return self._tx.following(batch)

    def close(self) -> None:
        with self._lock:
            if self._session is not None:
                self._session.close()


def _slices(rows: Sequence[Row], batch: int) -> Iterator[Sequence[Row]]:
    return (rows[start : start + batch] for start in range(0, len(rows), batch))


class InlineDatabase(_Sqlite):
    """A database without threads: a transaction runs at once, in the caller, and nothing comes between.

    For tests in virtual time: `hook` is told of each statement and commit, and may raise to play a crash.
    """

    def __init__(self, path: Path | None, clock: Callable[[], int] = microseconds, hook: Hook | None = None) -> None:
        super().__init__(path, clock, hook)
        self._open: Session | None = None
        self._busy = False

    async def open(self) -> None:
        if self._open is None:
            self._open = self._session()
            self._committer = Committer(self._open, self._hook)
            self._pid = os.getpid()

    async def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._pid = None, 0

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._idle()
        waiting = [Member(work)]
        committer = cast("Committer", self._committer)
        (member,) = committer.serve(lambda: waiting.pop() if waiting else None)
        if member.error is not None:
            raise member.error
        return cast("T", member.value)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return read(self._idle(), work, self._hook)

    def _idle(self) -> Session:
        if self._pid != os.getpid() or self._open is None:
            self._refuse()
        if self._open.connection.in_transaction:
            raise AwaitInTransaction("a transaction was begun inside a transaction: use tx, or tx.savepoint")
        return self._open

    async def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        for rows in _slices(await self.read(lambda tx: tx.fetch(sql, **params)), batch):
            yield rows
