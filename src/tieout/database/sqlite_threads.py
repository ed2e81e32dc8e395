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
from threading import Lock, Thread
from typing import Any, NoReturn

from tieout.database.sqlite_commit import Committer, Member
from tieout.database.sqlite_session import Session
from tieout.errors import AppClosed, AwaitInTransaction


class Job(Member):
    """A member whose caller awaits it in an event loop."""

    __slots__ = ("future", "loop")

    def __init__(self, work: Callable[[Any], Any], loop: asyncio.AbstractEventLoop, *, reading: bool = False) -> None:
        # Not through super: each transaction passes here.
        self.work = work
        self.context = contextvars.copy_context()
        self.reading = reading
        self.value = None
        self.error = None
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()


class Mailbox:
    """A queue of jobs that takes nothing more once it is closed, so that nobody waits for what nobody serves."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self.get = self._queue.get
        self.get_nowait = self._queue.get_nowait

    def put(self, jobs: list[Job]) -> None:
        with self._lock:
            if not self._closed:
                self._queue.put(jobs)
                return
        for job in jobs:
            job.error = AppClosed("the database was closed before this transaction began")
        settle(jobs)

    def close(self, threads: int) -> None:
        """Let each thread that serves it end after what is queued now."""
        with self._lock:
            self._closed = True
            for _ in range(threads):
                self._queue.put(None)


class Desk:
    """Where callers of one event loop leave their jobs, to be handed over together at the end of its turn."""

    __slots__ = ("_jobs", "_mailbox", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, mailbox: Mailbox) -> None:
        self.loop = loop
        self._mailbox = mailbox
        self._jobs: list[Job] = []

    def leave(self, job: Job) -> None:
        """Hand the job over when all that is ready to run now has run."""
        if not self._jobs:
            self.loop.call_soon(self._hand_over)
        self._jobs.append(job)

    def _hand_over(self) -> None:
        jobs, self._jobs = self._jobs, []
        self._mailbox.put(jobs)


def hand_back(jobs: Iterable[Job]) -> None:
    """Settle the jobs, each in its own event loop, waking each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle, settled)
        except RuntimeError:  # this loop has been closed: nobody waits any more
            continue


def settle(jobs: list[Job]) -> None:
    """Give their callers what became of the jobs; in the callers' event loop."""
    for job in jobs:
        if job.future.done():  # the caller was cancelled while it waited
            continue
        if job.error is None:
            job.future.set_result(job.value)
        else:
            job.future.set_exception(job.error)


class _NoLoop:
    """Stands for the event loop in a thread that has none: whoever asks it for anything is told so."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AwaitInTransaction("a transaction may await nothing but its tx: look things up before it begins")


def refuse_awaiting() -> None:
    """Make whoever asks for this thread's event loop raise `AwaitInTransaction`."""
    asyncio._set_running_loop(_NoLoop())  # type: ignore[arg-type]  # noqa: SLF001 - meant for writers of event loops


class Writer(Thread):
    """Runs the queued transactions in turn and commits many at once, until its mailbox is closed."""

    def __init__(self, session: Session, committer: Committer, mailbox: Mailbox) -> None:
        super().__init__(name="tieout-sqlite-writer", daemon=True)
        self._session = session
        self._committer = committer
        self._mailbox = mailbox
        self._waiting: deque[Job] = deque()
        self._closing = False

    def run(self) -> None:
        refuse_awaiting()
        while self._await_job():
            hand_back(self._committer.serve(self._following))
        self._session.close()

    def _await_job(self) -> bool:
        while not self._waiting and not self._closing:
            self._take(self._mailbox.get())
        return bool(self._waiting)

    def _following(self) -> Job | None:
        """The next job whose caller still waits for it, or None when nothing is queued."""
        while True:
            if not self._waiting:
                try:
                    self._take(self._mailbox.get_nowait())
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
    """Runs reading jobs on its own connection, until its mailbox is closed."""

    def __init__(self, session: Session, mailbox: Mailbox) -> None:
        super().__init__(name="tieout-sqlite-reader", daemon=True)
        self._session = session
        self._mailbox = mailbox

    def run(self) -> None:
        refuse_awaiting()
        while (jobs := self._mailbox.get()) is not None:
            for job in jobs:
                self._serve(job)
            hand_back(jobs)
        self._session.close()

    def _serve(self, job: Job) -> None:
        if job.future.cancelled():
            return
        try:
            job.value = job.context.run(job.work, self._session) if job.context else job.work(self._session)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            job.error = error
