"""SQLite for threads: the same writer and readers, for callers that block. Its coroutines never suspend."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import current_thread
from typing import Any, TypeVar

from tieout.contracts import Transaction
from tieout.database.sqlite import SqliteDatabase
from tieout.database.sqlite_commit import Member
from tieout.database.sqlite_session import Session
from tieout.database.sqlite_threads import Job, Reader, Writer
from tieout.errors import AwaitInTransaction

T = TypeVar("T")


class _Here:
    """Stands for an event loop: a thread that waits for a job is woken by whoever settles it."""

    def call_soon_threadsafe(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


_HERE = _Here()


class ThreadJob(Job):
    """A job whose caller blocks its thread until it is settled."""

    __slots__ = ()

    def __init__(self, work: Callable[[Any], Any], *, reading: bool = False) -> None:
        Member.__init__(self, work, contextvars.copy_context(), reading=reading)
        self.loop: Any = _HERE
        self.future: Any = Future()


class SqliteInThreads(SqliteDatabase):
    """Used from any thread; every transaction blocks the thread that asks for it, and runs in the writer's."""

    def _queued(self, work: Callable[[Transaction], Awaitable[Any]], *, reading: bool = False) -> Job:
        if self._pid != os.getpid():
            self._refuse()
        _refuse_nesting()
        job = ThreadJob(work, reading=reading)
        self._writes.put([job])
        return job

    def begin(self, work: Callable[[Transaction], Awaitable[Any]]) -> Future[Any]:
        """Queue a transaction, and wait for nothing: its result comes once it is committed."""
        ending: Future[Any] = self._queued(work).future  # type: ignore[assignment] # it is a ThreadJob's
        return ending

    def _job(self, work: Callable[[Session], Any]) -> Job:
        _refuse_nesting()
        return ThreadJob(work)

    async def _outcome(self, job: Job) -> Any:
        future: Future[Any] = job.future  # type: ignore[assignment] # it is a ThreadJob's
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def _apart(self, work: Callable[[], T]) -> T:
        return work()


def _refuse_nesting() -> None:
    if isinstance(current_thread(), (Writer, Reader)):
        raise AwaitInTransaction("a transaction was begun inside a transaction: use tx, or tx.savepoint")
