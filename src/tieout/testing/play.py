"""Play a process type: the real engine on real SQL, in memory and in virtual time, with a scripted downstream."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, cast

from tieout.alarm.store import Alarm
from tieout.app import App
from tieout.config import duration
from tieout.contracts import Database, Param, Row, Transaction
from tieout.database import Compiled
from tieout.database.query import split
from tieout.process.outcomes import Reported
from tieout.process.process import Process
from tieout.process.record import Source
from tieout.process.store import Filter
from tieout.process.view import ProcessView, view
from tieout.testing.downstream import Try
from tieout.testing.everywhere import Comparison, assert_idempotent, crash_everywhere
from tieout.testing.script import PlayFailed, Script
from tieout.testing.stage import Stage
from tieout.testing.virtual import finish

D = TypeVar("D")
T = TypeVar("T")

PROCESSES = 10_000
"""Processes and alarms of one play that are shown and compared."""

watchers: list[Callable[[Play[Any]], None]] = []
"""The last of these is told of each play that a test makes: the plugin of the innermost run of pytest."""


def play(
    process_type: type[Process[D]],
    *others: type[Process[Any]],
    deps: D | None = None,
    make_deps: Callable[[Play[D]], D] | None = None,
    schema: str = "",
    seed: int = 0,
) -> Play[D]:
    """Play a process type in virtual time, on SQLite in memory.

    others     types of its children
    deps       what handlers find as `self.deps`; calls that no script answers go to its fakes
    make_deps  makes them in place of `deps`, from the play: for fakes that use its `database`, or cannot be copied
    schema     SQL of the business tables, with first rows if you like
    seed       of the engine's jitter: one seed, one course
    """
    run: Play[D] = Play(process_type, *others, deps=deps, make_deps=make_deps, schema=schema, seed=seed)
    if watchers:
        watchers[-1](run)
    return run


class Play(Generic[D]):
    """A process type in virtual time, with one worker after the other.

    Its methods that are awaited never suspend: they work in `async def` tests under any event loop, and in plain ones
    through `finish`. Use it as `with play(...) as run:` to have it checked and closed at the end; the pytest plugin
    does so for plays made by `tieout_play`, and checks those that a test makes itself.
    """

    def __init__(
        self,
        process_type: type[Process[D]],
        *others: type[Process[Any]],
        deps: D | None = None,
        make_deps: Callable[[Play[D]], D] | None = None,
        schema: str = "",
        seed: int = 0,
        script: Script | None = None,
    ) -> None:
        self.process_type = process_type
        self._others = others
        self._make_deps = make_deps
        self._schema = schema
        self._seed = seed
        self._last = ""
        self._last_words = ""
        self._has_complained = False
        self._setup: list[tuple[str, dict[str, Param]]] = []
        self.stage = Stage((process_type, *others), script, seed)
        self._closing = weakref.finalize(self, self.stage.close)
        self.deps = cast("D", make_deps(self) if make_deps is not None else deps)
        self.stage.open(self.deps)
        finish(self.database.transact(self._prepare))

    def script(
        self, step: str, *answers: Any, send: Iterable[Any] | None = None, query: Iterable[Any] | None = None
    ) -> None:
        """Answer a call from here on, in place of its handlers, in the order in which it is asked.

        Answers are outcomes, `Lost`, `Slow`, `Garbage`, `Real`, `Always`, and exceptions to raise. They are for sends
        and queries together, or for each in their own order with `send=` and `query=`; of these two, the one that is
        not given stays with its handler. A script that is used up, or left over at the end, fails the test.
        """
        self.stage.script.add(step, answers, send, query)

    def crash_at(self, *points: str) -> None:
        """Let the worker die at each point: what is not committed is rolled back, and a new one takes over.

        `commit:2` is just before the second commit since the play began, `after-commit:2` when it is done and nobody
        was told. `statement:5`, `call:1` and `query:1` are before the n-th of these; `after-call:1` is when the
        downstream has done it, and the answer is lost with the worker.
        """
        for point in points:
            self.stage.points.plan(point, self.stage.die)

    async def start(
        self,
        request: Process[D] | None = None,
        /,
        *,
        until: Literal["rest", "accepted"] = "rest",
        within: float | str = "1d",
        retry: bool = True,
        **params: Any,
    ) -> ProcessView:
        """Start a process, as a client does, and run until it is final or held, at most for `within`.

        Give a request, or its params. With `until="accepted"`, return before its first call. A client whose worker dies
        asks again after a second; with `retry=False` it does not, and `Crashed` is raised. Raise what `App.start` does.
        """
        request = self.process_type(**params) if request is None else request
        stage, patience = self.stage, duration(within)
        started = stage.accept(request, retry=retry)
        record = started.record
        self._last = record.id.hex()
        if until == "rest":
            stage.drive(lambda: stage.read(record.id).status != "running", self.now + patience)
        return view(stage.read(record.id), stage.types[record.type], replayed=started.replayed)

    async def report(self, call: str | int | Try, outcome: Reported, *, source: Source = "push") -> str:
        """`App.report`, from outside: `call` is a call key, a `Try`, or the number of a call of the last process."""
        key = call.key if isinstance(call, Try) else f"{self._last}:{call}" if isinstance(call, int) else call
        effect = await self.do(lambda app: app.report(key, outcome, source=source))
        self.stage.timeline.note(f"{source} says of {key[:8]}…{key[32:]}: {outcome!r}: {effect}")
        return effect

    async def do(self, work: Callable[[App], Coroutine[Any, Any, T]]) -> T:
        """What an operator does, or another request: `await run.do(lambda app: app.cancel(id, ...))`."""
        return self.stage.do(work)

    async def advance(self, by: float | str) -> None:
        """Let so much time pass, with everything that falls into it."""
        self.stage.pass_time(duration(by))

    async def rest(self, within: float | str = "1d") -> None:
        """Run until every process is final or held, at most for `within`."""
        self.stage.drive(lambda: self.stage.next_due() is None, self.now + duration(within))

    async def get(self, process_id: str) -> ProcessView:
        """The process with this id; raise `UnknownProcess`."""
        return await self.app.get(process_id)

    async def processes(self) -> Sequence[ProcessView]:
        """Every process, oldest first."""
        return (await self.app.list(Filter(limit=PROCESSES)))[::-1]

    async def execute(self, sql: str, /, **params: Param) -> int:
        """Run one statement of the business in a transaction of its own; the number of rows matched."""
        if not self.began:
            self._setup.append((sql, params))
        return await self.database.transact(lambda tx: tx.execute(sql, **params))

    async def fetch(self, sql: str, /, **params: Param) -> Sequence[Row]:
        """Read business tables."""
        return await self.database.read(lambda tx: tx.fetch(sql, **params))

    async def fetch_one(self, sql: str, /, **params: Param) -> Row | None:
        """The first row of what is read, or None."""
        return await self.database.read(lambda tx: tx.fetch_one(sql, **params))

    async def tables(self) -> dict[str, Sequence[Row]]:
        """Every row of every business table."""
        return await self.database.read(self.stage.store.business_tables)

    def sent(self, step: str | None = None) -> list[Try]:
        """The sends of one call step, or of all, in order."""
        return [one for one in self.stage.caller.tries if one.way == "send" and step in (None, one.step)]

    def queried(self, step: str | None = None) -> list[Try]:
        """The queries of one call step, or of all, in order."""
        return [one for one in self.stage.caller.tries if one.way == "query" and step in (None, one.step)]

    def alarms(self) -> list[Alarm]:
        """Every alarm, newest first."""
        return finish(self.app.alarms.list(limit=PROCESSES))

    @property
    def app(self) -> App:
        """The App of the worker that lives: another one after each crash."""
        return self.stage.life.app

    @property
    def database(self) -> Database:
        """The database in memory, for fakes that keep their own tables in it."""
        return self.stage.database

    @property
    def now(self) -> float:
        """Seconds since the play began."""
        return self.stage.time.now

    @property
    def began(self) -> bool:
        """Whether a process was started."""
        return bool(self.stage.points.passed)

    @property
    def points(self) -> list[str]:
        """Every point that was passed, in order; at each of them the worker could have died."""
        return list(self.stage.points.passed)

    def timeline(self) -> str:
        """What happened, in order of time, and where each process stands: for people."""
        if not self._closing.alive:
            return self._last_words
        return self.stage.timeline.text(finish(self.processes()), self.alarms())

    async def crash_everywhere(
        self,
        story: Callable[[Play[D]], Awaitable[Any]],
        *,
        check: Callable[[Play[D]], Any] | None = None,
        effects: Callable[[Play[D]], Any] | None = None,
        ignore: Iterable[str] = (),
        limit: int = 1_000,
    ) -> list[str]:
        """Tell `story` once without a crash and once for each point of it with one; return the points.

        Each time in a fresh copy of this play, in which nothing may have been started. After each, when all is at
        rest, processes, business tables, keys sent and `effects(run)` have to be those of the run without a crash, and
        `check(run)` may assert more. Columns named in `ignore` are not compared; times of the database's clock only as
        such. Raise `PlayFailed` that shows the difference, or when there are more than `limit` points.
        """
        return await crash_everywhere(self, story, Comparison(frozenset(ignore), effects, check), limit)

    async def assert_idempotent(
        self,
        request: Process[D] | None = None,
        /,
        *,
        effects: Callable[[Play[D]], Any] | None = None,
        ignore: Iterable[str] = (),
        limit: int = 1_000,
        **params: Any,
    ) -> list[str]:
        """Assert that a request has one effect, however often it comes and wherever a worker dies; return the points.

        It is started alone, twice, a second time in between at each point, and with a crash at each point. Compared is
        as in `crash_everywhere`: one process, one result, the same business tables, one key with one set of arguments.
        What a fake downstream did is compared when `effects(run)` returns it.
        """
        request = self.process_type(**params) if request is None else request
        return await assert_idempotent(self, request, Comparison(frozenset(ignore), effects), limit)

    def fresh(self) -> Play[D]:
        """A copy of this play before anything was started in it: schema, script, set-up, and deps."""
        if self.began:
            raise PlayFailed("this needs a play in which nothing has been started")
        other = Play(
            self.process_type,
            *self._others,
            deps=None if self._make_deps is not None else _copied(self.deps),
            make_deps=self._make_deps,
            schema=self._schema,
            seed=self._seed,
            script=self.stage.script.copy(),
        )
        for sql, params in self._setup:
            finish(other.execute(sql, **params))
        return other

    def at(self, point: str, action: Callable[[Play[D]], Any]) -> None:
        """Call `action(run)` at a point, in the middle of what runs there."""
        self.stage.points.plan(point, lambda _: action(self))

    def left_over(self, *, script: bool = True) -> list[str]:
        """What the test has planned and did not come to pass: answers of a script, and points."""
        return [*(self.stage.script.left() if script else ()), *self.stage.points.left()]

    def check(self) -> None:
        """Raise `PlayFailed` when something planned is left over, unless the play has failed or told so before."""
        left = self.left_over()
        if left and self._closing.alive and not self._has_complained and self.stage.failure is None:
            self._has_complained = True
            raise PlayFailed("; ".join(left))

    def close(self) -> None:
        """Give everything back; the timeline can still be read."""
        if self._closing.alive:
            self._last_words = self.timeline()
            self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.close()

    async def _prepare(self, tx: Transaction) -> None:
        for statement in split(self._schema, tx.dialect):
            await tx.execute(Compiled(statement, statement, (), tx.dialect))


def _copied(deps: Any) -> Any:
    try:
        return copy.deepcopy(deps)
    except Exception as error:
        raise PlayFailed("deps cannot be copied for the next run: give make_deps=, which makes them anew") from error
