"""The machinery of a play: one time, one database, and workers that live and die on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from tieout.app import App
from tieout.database import connect
from tieout.errors import TieoutError
from tieout.process.process import Process, type_of
from tieout.process.record import Record
from tieout.process.starting import Started
from tieout.testing.crash import Crash, Crashed, Points
from tieout.testing.downstream import ScriptedCaller, steps_of
from tieout.testing.life import Life
from tieout.testing.script import PlayFailed, Script
from tieout.testing.store import PlayStore
from tieout.testing.timeline import Timeline
from tieout.testing.virtual import VirtualLoop, VirtualTime, finish

T = TypeVar("T")

WAKES = 10_000
"""How often one wait of a test may find something to do: some seconds of real time, far more than a process needs."""

CLIENT_PAUSE = 1.0
"""Seconds after which a client who got no answer asks again."""


class Stage:
    """Runs workers in virtual time, one after the other, over one database in memory."""

    def __init__(self, process_types: Sequence[type[Process[Any]]], script: Script | None, seed: int) -> None:
        self.types = {compiled.name: compiled for compiled in map(type_of, process_types)}
        steps = steps_of(list(self.types.values()))
        self.script = script or Script(steps)
        self.time = VirtualTime()
        self.points = Points()
        self.timeline = Timeline(self.time)
        self.caller = ScriptedCaller(steps, self.script, self.points, self.timeline.note, self._fail)
        self.store = PlayStore()
        self.database = connect("sqlite://", inline=True, clock=self.time.micros, hook=self.points.hook)
        self.deps: Any = None
        self.life: Life
        self.failure: BaseException | None = None
        self._chance = Random(seed)
        self._lives: list[Life] = []
        self._accepted: list[Record] = []
        finish(self.database.open())

    def open(self, deps: Any) -> None:
        """Give birth to the first worker."""
        self.deps = deps
        self.life = self._born()

    def accept(self, request: Process[Any], *, retry: bool) -> Started:
        """Start a process as a client does, who asks again when the worker dies."""
        while True:
            life = self.life
            task = life.begin(life.app.engine.start(request))
            self.drive(lambda: task.done() or self.life is not life, math.inf)  # noqa: B023 - called before it changes
            if self.life is life:
                return self._accept(task.result()) if task.exception() is None else self._refuse(task.exception())
            self.timeline.note("the client gets no answer")
            if not retry:
                raise Crashed("the worker died before it could answer")
            self.pass_time(CLIENT_PAUSE)

    def do(self, work: Callable[[App], Coroutine[Any, Any, T]]) -> T:
        """Let somebody outside use the App, who does so again when the worker dies."""
        while True:
            life = self.life
            task = life.begin(work(life.app))
            self.drive(lambda: task.done() or self.life is not life, math.inf)  # noqa: B023 - called before it changes
            if self.life is life:
                return task.result()
            self.pass_time(CLIENT_PAUSE)

    def drive(self, done: Callable[[], bool], until: float) -> None:
        """Run whatever happens, and move the time to it, until `done()` or the given time; then it is that time."""
        accepted, self._accepted = self._accepted, []
        for record in accepted:
            self.life.drive(record)
        for _ in range(WAKES):
            timer = self._run()
            if done():
                return
            sweep = self._next_sweep()
            at = min(timer, sweep)
            if at > until or at == math.inf:
                self._wait(until)
                return
            self.time.now = max(self.time.now, at)
            if at == sweep:
                self.life.sweep(self.time.now)
        raise PlayFailed(f"still busy after {WAKES} moments: something asks again and again without a pause")

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        self.drive(lambda: False, self.time.now + seconds)

    def read(self, process: bytes) -> Record:
        """A process's row."""
        return finish(self.life.app.engine.read(process))

    def next_due(self) -> int | None:
        """When the first running process is due, in the server's time; None when all are at rest."""
        return finish(self.database.read(self.store.next_due))

    def close(self) -> None:
        """Give everything back."""
        for life in self._lives:
            life.end()
        self._lives.clear()
        finish(self.database.close())

    def die(self, point: str) -> None:
        """End the worker that runs now: its loop is not run again, and whatever it does in this moment fails."""
        self.points.dead = point
        self.timeline.note(f"the worker dies at {point}")
        self.life.loop.stop()
        raise Crash(point)

    def _born(self) -> Life:
        app = App(
            "sqlite://",
            deps=self.deps,
            sweep=False,
            migrate=True,
            database=self.database,
            clock=self.time,
            caller=self.caller,
            chance=self._chance,
        )
        for process_type in self.types.values():
            app.register(process_type.cls)
        life = Life(app, VirtualLoop(self.time, self._refused))
        self._lives.append(life)
        return life

    def _run(self) -> float:
        """Run all that can run now, in the next worker if one dies; when the next timer rings."""
        while True:
            self.points.counting = True
            try:
                timer = self.life.loop.run_ready()
            finally:
                self.points.counting = False
            if self.failure is not None:
                raise self.failure
            if self.life.unexpected is not None:
                raise self.life.unexpected
            if self.points.dead is None:
                return math.inf if timer is None else timer
            self.points.dead = None
            self.life = self._born()

    def _next_sweep(self) -> float:
        due = self.next_due()
        return math.inf if due is None else max(self.time.seconds(due), self.life.next_sweep)

    def _wait(self, until: float) -> None:
        if until == math.inf:
            raise PlayFailed("nothing can happen any more: something in a handler or snapshot waits for ever")
        self.time.now = max(self.time.now, until)

    def _accept(self, started: Started) -> Started:
        record = started.record
        if not started.replayed and record.status == "running":
            self._accepted.append(record)
        told = "was there already" if started.replayed else "accepted"
        self.timeline.note(f"{record.type} {record.request_key.decode()!r} {told}, at {record.state}")
        return started

    def _refuse(self, error: BaseException | None) -> Any:
        said = getattr(error, "code", None) if isinstance(error, TieoutError) else type(error).__name__
        self.timeline.note(f"the request is refused, {said}: {error}")
        raise error if error is not None else AssertionError

    def _fail(self, error: BaseException) -> None:
        """End the test with `error` as soon as the moment is over; no handler of a user can take it for an answer."""
        self.failure = self.failure or error
        self.life.loop.stop()

    def _refused(self, text: str) -> None:
        self._fail(PlayFailed(text))
