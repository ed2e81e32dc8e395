"""App: the object that users hold. Here, and only here, the parts are wired."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tieout.alarm.engine import Alarms
from tieout.alarm.notify.notifying import Notifying
from tieout.alarm.notify.routing import AlarmSettings
from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmStore
from tieout.config import duration, microseconds
from tieout.contracts import Caller, Channel, Clock, Database, Transaction
from tieout.coordination.breaker import Breakers
from tieout.database import connect
from tieout.database.migrate import check, migrate
from tieout.database.retrying import RetryingDatabase
from tieout.declaring import Declaring
from tieout.errors import AppClosed, AppForked, ConfigError, UsageError
from tieout.eventloop import Deadlines, LoopCaller, LoopClock
from tieout.identity import raw_id
from tieout.letters import Letters
from tieout.letters.rules import Fate
from tieout.messages import Inbox, Outbox, Relaying
from tieout.messages.store import First
from tieout.once.engine import Engine as OnceEngine
from tieout.once.stores import store_of
from tieout.payloads import PayloadCodec, Payloads
from tieout.process.acknowledged import Acknowledged
from tieout.process.bulk import Operator
from tieout.process.engine import Engine, Started
from tieout.process.inspecting import Inspection, inspect
from tieout.process.joining import Joining
from tieout.process.moving import Receipt
from tieout.process.mysql_store import process_store
from tieout.process.operating import Act
from tieout.process.outcomes import Reported
from tieout.process.process import Process
from tieout.process.process_type import ProcessType
from tieout.process.record import Record, Source
from tieout.process.retention import Retention
from tieout.process.store import Filter
from tieout.process.view import ProcessView, view
from tieout.process.world import World, run_natively
from tieout.recon.book import Recon
from tieout.sessions import Joined, SessionDatabase, in_sessions, join, run_in_session
from tieout.watch import Watch
from tieout.worker import Limits, Worker

if TYPE_CHECKING:
    from tieout.mirror.mirror import Mirror

T = TypeVar("T")
C = TypeVar("C", bound=type[Process[Any]])

POLL = 0.5
"""Seconds between two looks at a process that somebody else may be finishing."""


class App(Declaring):
    """Processes in one database: start them, report on them, read them.

    url         sqlite:///file.db, sqlite:// (in memory), postgresql://user@host/database, mysql://user@host/database
    session     what transaction steps are given as `tx` instead of a `Transaction`: SQLAlchemy's `async_sessionmaker`
    deps        what handlers find as `self.deps`
    sweep       False: only what this App starts is driven here; workers do the rest
    migrate     True: bring the tables up to date when opened (default: for SQLite only)
    retention   how long final processes are kept whole; then tombstones refuse their keys for `tombstones`
    limits      how much is done at a time
    channels    ways to other services, by name: what waits for them in the outbox is sent here, if this App relays
    codec       writes what is stored of users' values, such as encrypted, and reads it: see `PayloadCodec`

    alarm_settings   whom alarms are told to, if this App relays; when they escalate, and what takes two persons

    Use it as `async with app:`; it may be opened again after it was closed. `sweeps`, `relays` (None: if it sweeps),
    `migrates`, `limits` and `alarm_settings` may be changed before it is opened. What it is to do is declared then as
    well: see `Declaring`.
    """

    relays: bool | None = None
    _notifying: Notifying | None = None
    _pid = 0

    def __init__(
        self,
        url: str,
        *,
        session: Any = None,
        deps: Any = None,
        sweep: bool = True,
        migrate: bool | None = None,
        retention: float | str = "90d",
        tombstones: float | str = "400d",
        limits: Limits | None = None,
        channels: Mapping[str, Channel] | None = None,
        alarm_settings: AlarmSettings | None = None,
        codec: PayloadCodec | None = None,
        database: Database | None = None,
        clock: Clock | None = None,
        caller: Caller | None = None,
        chance: Random | None = None,
    ) -> None:
        self._native = connect(url) if database is None else database
        sessions = None if session is None else in_sessions(self._native, session, blocking=self.is_blocking)
        self._given = None if sessions is None else sessions.given
        self.database: Database = sessions or self._native
        dialect, payloads = self.database.dialect, Payloads(codec)
        self.types: dict[str, ProcessType] = {}
        self.limits, self.sweeps = limits or Limits(), sweep
        self.migrates = dialect == "sqlite" if migrate is None else migrate
        self._retention, self._tombstones = microseconds(retention), microseconds(tombstones)
        self._caller = caller or LoopCaller()
        self.store = process_store(dialect, clock or LoopClock(), payloads)
        alarms = AlarmStore(dialect, payloads)
        world = World(
            self.database,
            self.store,
            alarms,
            self.store.clock,
            chance or Random(),  # noqa: S311 - jitter is no secret
            self._caller,
            Breakers(),
            deps,
            self.types,
            run_natively if sessions is None else run_in_session,
            payloads,
        )
        self.engine = Engine(world)
        self.engine.calls.moved_late = self._moved_late
        self.joining = Joining(world, self.engine.starting, self.engine.claiming, self.store)
        self.operate = Operator(world, self.engine.gate, self.engine.calls, self.engine.driving, alarms, self.store)
        self._retrying = RetryingDatabase(self._native, world.clock, world.chance)
        self.alarms = Alarms(self._retrying, alarms, self.operate.audit)
        self.retention = Retention(world, self.store)
        self.acknowledged = Acknowledged(world, self.store, self._native)
        self.watch = Watch(world, self._native, self.acknowledged)
        self.inbox, self.outbox = Inbox(dialect), Outbox(dialect, payloads)
        self.channels = channels or {}
        self._relaying = Relaying.over(self._relayed(), self._native, world.clock, self._caller, world.chance, payloads)
        self.consuming = self._consuming(
            self.database, world.transact, self.inbox, world.chance, self._message_died, payloads
        )
        self.letters = Letters(self._retrying, self.consuming.store, self.operate.audit)
        self.answers = OnceEngine(self.database, store_of(dialect, payloads), world.clock, world.chance, world.run_step)
        self.recon = Recon(self._retrying, world.clock, alarms, self.operate.audit, self._begin)
        self.rule = self.recon.rule
        self.alarm_settings = alarm_settings or AlarmSettings()
        self._scopes: set[str] = set()
        self.mirrors: dict[str, Mirror] = {}
        self._worker: Worker | None = None
        self._waiters: dict[bytes, set[asyncio.Future[Record | None]]] = {}
        self._deadlines = Deadlines()
        self.watchers: list[Callable[[Record], None]] = []

    async def __aenter__(self) -> Self:
        if self._worker is not None and self._pid == os.getpid():
            raise UsageError("this App is open already: share it, or make another one")
        if self.sweeps:
            self.consuming.check(self.channels)
        await self.database.open()
        try:
            await (migrate(self._native) if self.migrates else check(self._native))
            if isinstance(self.database, SessionDatabase):
                await self.database.check_same()
            for mirror in self.mirrors.values():
                await mirror.open()
            self.alarms.second_person = frozenset(self.alarm_settings.second_person)
            sends = self.sweeps if self.relays is None else self.relays
            if self.sweeps or sends:
                await self._relaying.start(send=sends)
            if sends:
                await self._notify()
        except BaseException:
            await self._relaying.close()
            await self.database.close()
            raise
        self._pid = os.getpid()
        self._worker = self._new_worker()
        if self.watch.has_cause:
            self._worker.watch()
        if self.sweeps:
            self._worker.start()
            self.consuming.start(self.channels)
            self._follow_suppliers(self.limits.queries)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drain: claim nothing more, let running work end, give the database back."""
        # Last in, first out; whatever one of them raises, or who is cancelled meanwhile, the others are closed.
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.database.close)
            if isinstance(self._caller, LoopCaller):
                closing.push_async_callback(self._caller.close)
            if self._notifying is not None:
                closing.push_async_callback(self._notifying.close)
            closing.push_async_callback(self._relaying.close)
            closing.push_async_callback(self._drain)
            closing.push_async_callback(self._close_mirrors)
            closing.push_async_callback(self.consuming.close)

    async def _close_mirrors(self) -> None:
        if self.mirrors:  # a blocking App has none, and no event loop to gather on
            await asyncio.gather(*(mirror.close() for mirror in self.mirrors.values()))

    async def _drain(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.drain()

    def _relayed(self) -> Mapping[str, Channel]:
        """The channels that this App sends to what waits for them."""
        return self.channels

    async def _notify(self) -> None:
        """Tell of alarms, if there are routes; raise `ConfigError` for one that cannot work."""
        if not self.alarm_settings.routes:
            return
        if self.is_blocking:
            raise ConfigError("alarms are told on an event loop: name their routes to a tieout.App, or `tieout serve`")
        world = self.engine.world
        parts = (self._native, world.clock, self._caller, world.chance, world.payloads)
        self._notifying = Notifying(self.alarm_settings, *parts)
        await self._notifying.start()

    @property
    def worker(self) -> Worker:
        """The running worker; raise `AppClosed` or `AppForked`."""
        if self._worker is None:
            raise AppClosed("this App is not open: use it inside `async with app:`")
        if self._pid != os.getpid():
            raise AppForked("this App was opened before a fork: open it in the child")
        return self._worker

    async def start(self, request: Process[Any], *, wait: float | str | None = None, tx: Any = None) -> ProcessView:
        """Start a process, once: the same request again gets the process that there is.

        Returns as soon as it is accepted, that is durably stored; with `wait`, once it is final or held, or after so
        long. Raise `ParamsChanged` for the same key with other params, `KeyRetired`, what the start step raised, or a
        `DatabaseError`: then repeat the same request.

        With `tx`, an open transaction of yours, the process is stored by your commit, or not at all. The same request
        again raises `AlreadyStarted`, so that all that you wrote rolls back; `RetryTransaction` asks for all of it
        once more. What begins after the commit begins by itself where the library tells of commits; else call `nudge`.
        """
        if tx is not None:
            return await self._join(request, tx, wait)
        started = await self.begin(request, 0.0 if wait is None else duration(wait))
        return self._view(started.record, replayed=started.replayed)

    async def begin(self, request: Process[Any], patience: float) -> Started:
        """What `start` does without `tx`, waiting for `patience` seconds; the row itself instead of a view of it."""
        worker, started = self.worker, await self.engine.start(request)
        record, replayed = started.record, started.replayed
        self.acknowledged.note(record)
        if not replayed:
            self._moved_to(record)
            record = await self._go_on(worker, record, patience)
        elif patience:
            record = await self.until_rest(record, patience)
        return Started(record, replayed)

    async def nudge(self, process_id: str) -> bool:
        """Go on at once with a process whose transaction you have just committed, instead of when it is due.

        Returns whether it is gone on with: not, when it is not there, has ended, or somebody else is at work on it.
        """
        worker, record = self.worker, await self.joining.take(raw_id(process_id))
        return record is not None and worker.go_on(record)

    async def report(self, call_key: str, outcome: Reported, *, source: Source = "push") -> str:
        """Say what became of a call, from a callback or a message.

        Returns what that did: "advanced", "kept", "duplicate", "conflict" or "waiting".
        Raise `UnknownCall` when there is no such call yet (answer "retry later"), `InvalidParams` when the outcome does
        not fit the call's type, or a `DatabaseError` (answer "retry later").
        """
        worker, receipt = self.worker, await self.engine.report(call_key, outcome, source)
        self._moved(receipt, worker)
        return receipt.effect

    async def _hear(self, call_key: str, outcome: Reported, first: First) -> None:
        worker, receipt = self.worker, await self.engine.report(call_key, outcome, "push", first=first)
        self._moved(receipt, worker)

    async def _begin(self, request: Process[Any]) -> bytes:
        return (await self.begin(request, 0.0)).record.id

    async def _message_died(self, tx: Transaction, source: str, fate: Fate) -> None:
        summary = f"a message from {source} could not be taken in: [{fate.code}] {fate.note}"
        evidence = ({"code": fate.code, "note": fate.note},)
        await self.engine.world.alarms.raise_alarm(tx, NewAlarm("dead-message", source, summary, None, evidence))

    async def get(self, process_id: str) -> ProcessView:
        """The process with this id; raise `UnknownProcess`."""
        return self._view(await self.engine.read(raw_id(process_id)))

    async def wait(self, process_id: str, timeout: float | str = 30.0) -> ProcessView:
        """The process once it is final or held, or as it is after `timeout`."""
        record = await self.engine.read(raw_id(process_id))
        return self._view(await self.until_rest(record, duration(timeout)))

    async def cancel(self, process_id: str, *, actor: str, reason: str) -> ProcessView:
        """Store the wish to cancel a process; the type's `@tieout.cancel` step runs once no call of it is open.

        Raise `NotAllowed` when it has ended, or when its type cannot be cancelled.
        """
        return self._view(await self.operate.cancel(raw_id(process_id), Act(actor, reason)))

    async def inspect(self, process_id: str) -> Inspection:
        """The process's row, with its alarms and their evidence, what persons did, and reports that came too early."""
        return await inspect(self.database, self.store, self.alarms.store, self.operate.audit, raw_id(process_id))

    async def list(self, wanted: Filter | None = None) -> Sequence[ProcessView]:
        """Processes, newest first; continue behind the last one with `Filter(before=..., before_id=...)`."""
        page = await self.database.read(lambda tx: self.store.page(tx, wanted or Filter()))
        return [self._view(record) for record in page]

    async def migrate(self, progress: Callable[[str], None] | None = None) -> None:
        """Bring the tables up to date; several nodes may do so at once."""
        await self._native.open()
        await migrate(self._native, progress)

    async def keep_house(self) -> None:
        """One round of retention: retire, purge, forget."""
        await self.answers.purge()
        await self.inbox.purge_all(self.engine.world.transact)
        await self.retention.retire(self._retention)
        await self.retention.purge(self._tombstones)
        await self.retention.forget_strays()

    def _new_worker(self) -> Worker:
        return Worker(self.engine, self.limits, self._moved_to, self.keep_house, self.watch.look)

    async def _join(self, request: Process[Any], tx: Any, wait: float | str | None) -> ProcessView:
        worker = self.worker
        if wait is not None:
            raise UsageError("with tx= nothing begins before your commit: wait after it, with app.wait(id)")
        joined = await join(tx, self.database.dialect, self._given, blocking=False)
        record = await self.joining.start(request, joined)
        if isinstance(joined, Joined):
            tell = asyncio.get_running_loop().call_soon_threadsafe
            joined.after_commit(lambda: tell(worker.after_commit, record, self.joining.take))
        return self._view(record)

    async def _go_on(self, worker: Worker, record: Record, patience: float) -> Record:
        worker.drive(record)
        return await self.until_rest(record, patience) if patience else record

    async def until_rest(self, record: Record, timeout: float) -> Record:
        """Until this App brings it to rest, with a look now and then whether somebody else has."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while record.status == "running" and (left := deadline - loop.time()) > 0:
            waiter: asyncio.Future[Record | None] = loop.create_future()
            waiters = self._waiters.setdefault(record.id, set())
            waiters.add(waiter)
            try:
                rested = await self._deadlines.outcome(waiter, min(left, POLL))
            finally:
                waiters.discard(waiter)
                if not waiters:
                    self._waiters.pop(record.id, None)
            record = await self.engine.read_again(record) if rested is None else rested
        return record

    def _moved(self, receipt: Receipt, worker: Worker) -> None:
        self._moved_to(receipt.record)
        worker.after(receipt)

    def _moved_late(self, receipt: Receipt) -> None:
        if self._worker is not None:
            self._moved(receipt, self._worker)

    def _moved_to(self, record: Record) -> None:
        for watch in self.watchers:
            watch(record)
        if record.status == "running":
            return
        for waiter in self._waiters.get(record.id, ()):
            if not waiter.done():
                waiter.set_result(record)

    def _view(self, record: Record, *, replayed: bool = False) -> ProcessView:
        return view(record, self.types.get(record.type), replayed=replayed)
