"""SQLite's threads: one that writes for everybody in shared commits, and a few that read.

Under load many transactions share the cost of one flush to the disk. All that callers leave in one turn of their
event loop goes to the thread at once, and all results of a batch come back at once: threads rarely wait for each other.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NoReturn

from tieout.database.sqlite_commit import Committer, Member
from tieout.database.sqlite_session import Session
from tieout.errors import AwaitInTransaction


class Job(Member):
    """A member whose caller awaits it in an event loop."""

    __slots__ = ("future", "loop")

    def __init__(self, work: Callable[[Any], Any], loop: asyncio.AbstractEventLoop, *, reading: bool = False) -> None:
        super().__init__(work, contextvars.copy_context(), reading=reading)
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def settle(self) -> None:
        if self.future.done():  # the caller was cancelled while it waited
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class Desk:
    """Where callers of one event loop leave their jobs, to be handed over together at the end of its turn."""

    __slots__ = ("_jobs", "_queue", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: SimpleQueue[list[Job] | None]) -> None:
        self.loop = loop
        self._queue = queue
        self._jobs: list[Job] = []

    def leave(self, job: Job) -> None:
        if not self._jobs:
            self.loop.call_soon(self._hand_over)
        self._jobs.append(job)

    def _hand_over(self) -> None:
        jobs, self._jobs = self._jobs, []
        self._queue.put(jobs)


def hand_back(jobs: Iterable[Job]) -> None:
    """Settle the jobs, each in its own event loop, waking each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, settled)
        except RuntimeError:  # this loop has been closed: nobody waits any more
            continue


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()


class _NoLoop:
    """Stands for the event loop in a thread that has none: whoever asks it for anything is told so."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AwaitInTransaction("a transaction may await nothing but its tx: look things up before it begins")


class Writer(Thread):
    """Runs the queued transactions in turn and commits many at once, until it is given None."""

    def __init__(self, committer: Committer, session: Session, queue: SimpleQueue[list[Job] | None]) -> None:
        super().__init__(name="tieout-sqlite-writer", daemon=True)
        self._committer = committer
        self._session = session
        self._queue = queue
        self._waiting: deque[Job] = deque()
        self._closing = False

    def run(self) -> None:
        asyncio._set_running_loop(_NoLoop())  # type: ignore[arg-type]  # noqa: SLF001 - public for writers of loops
        while self._await_job():
            hand_back(self._committer.serve(self._following))  # type: ignore[arg-type] # it returns what it was given
        self._session.close()

    def _await_job(self) -> bool:
        while not self._waiting and not self._closing:
            self._take(self._queue.get())
        return bool(self._waiting)

    def _following(self) -> Job | None:
        """The next job whose caller still waits for it, or None when nothing is queued."""
        while True:
            if not self._waiting:
                try:
                    self._take(self._queue.get_nowait())
                except Empty:
                    return None
                continue
            job = self._waiting.popleft()
            if not job.future.cancelled():
                return job

    def _take(self, jobs: list[Job] | None) -> None:
        if jobs is None:
            self._closing = True
        else:
            self._waiting.extend(jobs)


class Reader(Thread):
    """Runs reading jobs on its own connection, until it is given None."""

    def __init__(self, session: Session, queue: SimpleQueue[Job | None]) -> None:
        super().__init__(name="tieout-sqlite-reader", daemon=True)
        self._session = session
        self._queue = queue

    def run(self) -> None:
        asyncio._set_running_loop(_NoLoop())  # type: ignore[arg-type]  # noqa: SLF001 - public for writers of loops
        while (job := self._queue.get()) is not None:
            if not job.future.cancelled():
                self._serve(job)
                hand_back([job])
        self._session.close()

    def _serve(self, job: Job) -> None:
        try:
            job.value = job.context.run(job.work, self._session) if job.context else job.work(self._session)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            job.error = error
