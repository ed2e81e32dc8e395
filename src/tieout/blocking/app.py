"""The App without an event loop: the same engine, run by the threads that call it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial, wraps
from inspect import iscoroutinefunction
from random import Random
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

from tieout import contracts
from tieout.app import POLL
from tieout.app import App as AsyncApp
from tieout.blocking.consuming import ThreadConsuming
from tieout.blocking.plain import Database, HttpOnce, Once, Plain, PlainInbox, PlainOutbox, Transaction, run_plainly
from tieout.blocking.threads import ThreadCaller, ThreadClock
from tieout.blocking.worker import ThreadWorker
from tieout.contracts import Channel, Delivery
from tieout.database import connect
from tieout.database.driving import drive
from tieout.errors import DefinitionError, UsageError
from tieout.once.held import ThreadWaiting
from tieout.once.http import HttpRules, Owner
from tieout.payloads import PayloadCodec
from tieout.process.inspecting import Inspection
from tieout.process.outcomes import Reported
from tieout.process.process import Process
from tieout.process.process_type import ProcessType
from tieout.process.reading import Told, read_report
from tieout.process.record import Record, Source
from tieout.process.store import Filter
from tieout.process.view import ProcessView
from tieout.sessions import Joined, join
from tieout.worker import Limits, Worker

T = TypeVar("T")
C = TypeVar("C", bound=type[Process[Any]])
H = TypeVar("H", bound=Callable[[Any, Delivery], Any])

IN_FLIGHT = 32
"""Processes that are worked on at a time unless `limits` says otherwise: each has a thread, and a call another."""


class Core(AsyncApp):
    """The asynchronous App on parts whose awaits never suspend."""

    is_blocking: ClassVar[bool] = True
    _waiting = ThreadWaiting
    _consuming = ThreadConsuming

    def __init__(self, url: str, **options: Any) -> None:
        self._calling = ThreadCaller(options["limits"].in_flight)
        database = connect(url, blocking=True)
        super().__init__(url, database=database, clock=ThreadClock(), caller=self._calling, **options)
        self._resting = Lock()
        world = self.engine.world
        self.is_native = self._given is None
        self._present = Transaction if self.is_native else None
        world.run_step = run_plainly if self.is_native else partial(_run_in_thread, world.run_step)

    async def close(self) -> None:
        """Drain: claim nothing more, let running work end, give the database back."""
        await super().close()
        self._calling.close()

    def _relayed(self) -> Mapping[str, Channel]:
        """None: sending is done on an event loop."""
        return {}

    def _new_worker(self) -> ThreadWorker:
        return ThreadWorker(self.engine, self.limits, self._moved_to, self.keep_house, self.watch.look)

    async def _join(self, request: Process[Any], tx: Any, wait: float | str | None) -> ProcessView:
        worker = self.worker
        if wait is not None:
            raise UsageError("with tx= nothing begins before your commit: wait after it, with app.wait(id)")
        native = tx.native if isinstance(tx, Transaction) else tx
        joined = await join(native, self.database.dialect, self._given, blocking=True)
        record = await self.joining.start(request, joined)
        if isinstance(joined, Joined):
            joined.after_commit(lambda: worker.after_commit(record, self.joining.take))
        return self._view(record)

    async def _go_on(self, worker: Worker, record: Record, patience: float) -> Record:
        # The thread that would wait for another drives the process itself, as far as its time goes.
        ends = time.monotonic() + patience
        if not patience or not isinstance(worker, ThreadWorker):
            return await super()._go_on(worker, record, patience)
        rested = worker.drive_here(record, ends)
        return await self.until_rest(rested or record, ends - time.monotonic())

    async def until_rest(self, record: Record, timeout: float) -> Record:
        if record.status != "running":
            return record
        deadline = time.monotonic() + timeout
        waiter: Future[Record] = Future()
        with self._resting:
            waiters: set[Any] = self._waiters.setdefault(record.id, set())
            waiters.add(waiter)
        try:
            while record.status == "running" and (left := deadline - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    waiter.result(min(left, POLL))
                record = waiter.result() if waiter.done() else await self.engine.read_again(record)
        finally:
            with self._resting:
                waiters.discard(waiter)
                if not waiters:
                    self._waiters.pop(record.id, None)
        return record

    def _moved_to(self, record: Record) -> None:
        if record.status != "running" and record.id in self._waiters:
            with self._resting:
                super()._moved_to(record)


async def _run_in_thread(run_step: Callable[..., Awaitable[Any]], tx: Any, step: Callable[[Any], Any]) -> Any:
    """Run a plain step on the user's session."""

    async def run(given: Any) -> Any:
        return step(given)

    return await run_step(tx, run)


class App:
    """Processes in one database: `tieout.App` for code without an event loop.

    Steps, calls and queries are plain functions; a transaction step is given a `tieout.blocking.Transaction`. A call
    runs in a thread of its own, for as long as its time-out, `send.timeout`, says: hand it to your client. The worker
    is threads. Any thread may use the App.

    url         sqlite:///file.db, sqlite:// (in memory), postgresql://user@host/database, mysql://user@host/database
    session     what transaction steps are given as `tx` instead: SQLAlchemy's `sessionmaker`, Django's `atomic`,
                psycopg's `ConnectionPool`, or a function for connections, such as `partial(pymysql.connect, …)`
    deps        what handlers find as `self.deps`
    sweep       False: only what this App starts is driven here; workers do the rest
    migrate     True: bring the tables up to date when opened (default: for SQLite only)
    retention   how long final processes are kept whole; then tombstones refuse their keys for `tombstones`
    limits      how much is done at a time
    channels    ways by which messages come in, by name, if this App sweeps; what is in the outbox is sent by others
    codec       writes what is stored of users' values, such as encrypted, and reads it: see `PayloadCodec`

    Use it as `with app:`, after a fork: in a child, an App that was opened before raises `AppForked`.
    """

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
        codec: PayloadCodec | None = None,
        chance: Random | None = None,
    ) -> None:
        self.core = Core(
            url,
            session=session,
            deps=deps,
            sweep=sweep,
            migrate=migrate,
            retention=retention,
            tombstones=tombstones,
            limits=limits or Limits(in_flight=IN_FLIGHT),
            channels=channels,
            codec=codec,
            chance=chance,
        )
        self.database = Database(self.core.database)
        self.operate = Plain(self.core.operate)
        self.alarms = Plain(self.core.alarms)
        self.inbox = PlainInbox(self.core.inbox)
        self.outbox = PlainOutbox(self.core.outbox)
        self.letters = Plain(self.core.letters)

    @property
    def types(self) -> dict[str, ProcessType]:
        """The registered process types, by name."""
        return self.core.types

    def register(self, cls: C) -> C:
        """Make a process type known to this App; use it as a decorator. Raise `DefinitionError` if it is not sound."""
        return self.core.register(cls)

    def once(self, scope: str, *, wait: float | str = 0, keep: float | str = "30d") -> Callable[..., Once[Any]]:
        """Let a handler run once for each key; use it as a decorator.

        `def handler(tx, ...)` becomes `handler.run(key, ...)` and `handler.find(key)`; as `tieout.App.once`.
        """

        def define(handler: Callable[..., T]) -> Once[T]:
            if iscoroutinefunction(handler):
                raise DefinitionError(f"the handler of {scope} must be `def`: this App has no event loop")
            plain = _handled_plainly(handler, native=self.core.is_native)
            return Once(self.core.once(scope, wait=wait, keep=keep)(plain))

        return define

    def http_once(self, *, owner: Owner | None, scope: str = "http", rules: HttpRules | None = None) -> HttpOnce:
        """What the WSGI middleware answers from; as `tieout.App.http_once`, with `owner` given the WSGI environ."""
        return HttpOnce(self.core.http_once(owner=owner, scope=scope, rules=rules))

    def consume(self, source: str) -> Callable[[H], H]:
        """Let each message of `channel/topic` run `def handler(tx, message)` once; as `tieout.App.consume`.

        Handlers run in threads. One that hangs cannot be ended, and holds up its source.
        """
        return self.core.consume(source)

    def consume_reports(self, source: str, *, read: Callable[[Delivery], Told] = read_report) -> None:
        """Take each message for a report of what became of a call; as `tieout.App.consume_reports`."""
        self.core.consume_reports(source, read=read)

    def consume_starts(
        self, source: str, cls: type[Process[Any]], *, read: Callable[[Delivery], Process[Any]] | None = None
    ) -> None:
        """Start a process for each message, which holds its params; as `tieout.App.consume_starts`."""
        self.core.consume_starts(source, cls, read=read)

    def __enter__(self) -> Self:
        drive(self.core.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drain: claim nothing more, let running work end, give the database back."""
        drive(self.core.close())

    def start(self, request: Process[Any], *, wait: float | str | None = None, tx: Any = None) -> ProcessView:
        """Start a process, once: the same request again gets the process that there is; as `tieout.App.start`."""
        return drive(self.core.start(request, wait=wait, tx=tx))

    def nudge(self, process_id: str) -> bool:
        """Go on at once with a process whose transaction you have just committed; as `tieout.App.nudge`."""
        return drive(self.core.nudge(process_id))

    def report(self, call_key: str, outcome: Reported, *, source: Source = "push") -> str:
        """Say what became of a call, from a callback or a message; as `tieout.App.report`."""
        return drive(self.core.report(call_key, outcome, source=source))

    def get(self, process_id: str) -> ProcessView:
        """The process with this id; raise `UnknownProcess`."""
        return drive(self.core.get(process_id))

    def wait(self, process_id: str, timeout: float | str = 30.0) -> ProcessView:
        """The process once it is final or held, or as it is after `timeout`."""
        return drive(self.core.wait(process_id, timeout))

    def cancel(self, process_id: str, *, actor: str, reason: str) -> ProcessView:
        """Store the wish to cancel a process; as `tieout.App.cancel`."""
        return drive(self.core.cancel(process_id, actor=actor, reason=reason))

    def inspect(self, process_id: str) -> Inspection:
        """The process's row, with its alarms and their evidence, and what persons did."""
        return drive(self.core.inspect(process_id))

    def list(self, wanted: Filter | None = None) -> Sequence[ProcessView]:
        """Processes, newest first; continue behind the last one with `Filter(before=..., before_id=...)`."""
        return drive(self.core.list(wanted))

    def migrate(self, progress: Callable[[str], None] | None = None) -> None:
        """Bring the tables up to date; several nodes may do so at once."""
        drive(self.core.migrate(progress))

    def keep_house(self) -> None:
        """One round of retention: retire, purge, forget."""
        drive(self.core.keep_house())


def _handled_plainly(handler: Callable[..., T], *, native: bool) -> Callable[..., Awaitable[T]]:
    """A plain handler of `once` as the engine runs it: on tieout's own transaction, or on the user's session."""

    @wraps(handler)
    async def run(tx: Any, **params: Any) -> T:
        return handler(Transaction(tx) if native else tx, **params)

    hints = get_type_hints(handler, include_extras=True)
    run.__annotations__ = {name: contracts.Transaction if hint is Transaction else hint for name, hint in hints.items()}
    return run
