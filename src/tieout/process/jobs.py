"""Bulk commands that run by themselves: begun by one request, watched and aborted by others, on whichever node."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Literal

import msgspec

from tieout.contracts import Database, Row, Transaction
from tieout.database.query import load
from tieout.errors import DatabaseError, NotAllowed, Overloaded, UnknownJob
from tieout.process.bulk import OBJECT, BulkCommand, Operator, Tally, counted, said
from tieout.process.operating import Act
from tieout.process.store import LAST, Filter
from tieout.process.world import log

TOLD_EVERY = 1.0
"""Seconds between two looks at whether a job was aborted, and notes of how far it has come."""

LOST_AFTER = 60_000_000
"""Microseconds after which a job that nothing was heard of has ended with its node."""

JOBS_AT_A_TIME = 8
"""Jobs that one node runs beside each other."""

JobState = Literal["running", "ended", "lost"]


class Job(msgspec.Struct, frozen=True):
    """A bulk command in the background. `filter` and `tally` are JSON; times are the server's, in microseconds."""

    id: bytes
    command: BulkCommand
    filter: str
    actor: str
    reason: str
    stored_state: Literal["running", "ended"]
    tally: str
    is_aborted: bool
    created: int
    changed: int
    now: int

    @property
    def state(self) -> JobState:
        """Whether it runs; "lost" when its node has gone: what it had done stays done, and it may be begun anew."""
        is_silent = self.stored_state == "running" and self.now - self.changed > LOST_AFTER
        return "lost" if is_silent else self.stored_state


class JobStore:
    """Jobs over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.process", dialect)

    async def add(self, tx: Transaction, job: bytes, command: str, filter: str, act: Act, tally: str) -> None:
        """Store one that begins to run."""
        await tx.execute(
            self.sql.add_job,
            id=job,
            command=command,
            filter=filter,
            actor=act.actor,
            reason=act.reason,
            tally=tally,
        )

    async def read(self, tx: Transaction, job: bytes) -> Job | None:
        """The job with this id, or None."""
        row = await tx.fetch_one(self.sql.read_job, id=job)
        return None if row is None else _job(row)

    async def page(self, tx: Transaction, before: int, before_id: bytes, limit: int) -> list[Job]:
        """Jobs, newest first, from behind (`before`, `before_id`)."""
        rows = await tx.fetch(self.sql.list_jobs, before=before, before_id=before_id, limit=limit)
        return [_job(row) for row in rows]

    async def tell(self, tx: Transaction, job: bytes, state: str, tally: str) -> bool:
        """Note how far a running one has come; False when it does not run."""
        return await tx.execute(self.sql.tell_job, id=job, state=state, tally=tally) == 1

    async def abort(self, tx: Transaction, job: bytes) -> bool:
        """Wish that a running one ends; False when it does not run."""
        return await tx.execute(self.sql.abort_job, id=job) == 1


class Running:
    """A job that this node runs."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.is_aborted = False

    def progress(self, tally: Tally) -> None:
        """What `Operator.bulk` tells."""
        self.tally = tally


class Jobs:
    """Begins, shows and aborts jobs; those of this node end with `close`."""

    def __init__(self, database: Database, operator: Operator) -> None:
        self.database = database
        self.operator = operator
        self.store = JobStore(database.dialect)
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, command: BulkCommand, wanted: Filter, act: Act, limit: int | None = None) -> Job:
        """Begin a bulk command in the background; raise `Overloaded` when this node runs enough of them."""
        if len(self._tasks) >= JOBS_AT_A_TIME:
            raise Overloaded(f"{JOBS_AT_A_TIME} bulk commands run on this node already")
        job, running = secrets.token_bytes(16), Running(Tally(command, 0, wanted))
        asked = msgspec.json.encode({**said(wanted), **({} if limit is None else {"limit": limit})}).decode()
        tally = _told(running.tally)
        await self.database.transact(lambda tx: self.store.add(tx, job, command, asked, act, tally))
        task = asyncio.create_task(self._run(job, running, command, wanted, act, limit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await self.show(job)

    async def show(self, job: bytes) -> Job:
        """A job as it stands; raise `UnknownJob`."""
        found = await self.database.read(lambda tx: self.store.read(tx, job))
        if found is None:
            raise UnknownJob(f"there is no bulk command {job.hex()}")
        return found

    async def list(self, *, before: int = LAST, before_id: bytes = b"", limit: int = 50) -> list[Job]:
        """Jobs, newest first."""
        return await self.database.read(lambda tx: self.store.page(tx, before, before_id, limit))

    async def abort(self, job: bytes, act: Act) -> Job:
        """Let a job end before its next process; raise `UnknownJob`, or `NotAllowed` when it has ended."""
        found = await self.show(job)

        async def work(tx: Transaction) -> None:
            if not await self.store.abort(tx, job):
                raise NotAllowed("this bulk command has ended")
            await self.operator.audit.add(
                tx,
                actor=act.actor,
                action="bulk-abort",
                target=OBJECT,
                reason=act.reason,
                detail={"job": job.hex(), "command": found.command},
            )

        await self.database.transact(work)
        return await self.show(job)

    async def close(self) -> None:
        """End those of this node; what they have done stays done, and is told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(
        self, job: bytes, running: Running, command: BulkCommand, wanted: Filter, act: Act, limit: int | None
    ) -> None:
        watching = asyncio.create_task(self._watch(job, running))
        try:
            await self.operator.bulk(
                command,
                wanted,
                act,
                progress=running.progress,
                should_stop=lambda: running.is_aborted,
                limit=limit,
            )
        except Exception:  # noqa: BLE001 - nobody awaits it: the log is told
            log.exception("bulk %s failed", command)
        finally:
            watching.cancel()
            await self._tell(job, running, "ended")

    async def _watch(self, job: bytes, running: Running) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            await self._tell(job, running, "running")

    async def _tell(self, job: bytes, running: Running, state: str) -> None:
        async def work(tx: Transaction) -> Job | None:
            await self.store.tell(tx, job, state, _told(running.tally))
            return await self.store.read(tx, job)

        try:
            found = await self.database.transact(work)
        except DatabaseError as error:
            log.warning("how far a bulk command has come could not be stored: %s", error)
        else:
            running.is_aborted = found is None or found.is_aborted


def _told(tally: Tally) -> str:
    told: dict[str, Any] = {**counted(tally), "failures": tally.failures}
    return msgspec.json.encode(told).decode()


def _job(row: Row) -> Job:
    job, command, wanted, actor, reason, state, tally, aborted, created, changed, now = row
    return Job(bytes(job), command, wanted, actor, reason, state, tally, bool(aborted), created, changed, now)
