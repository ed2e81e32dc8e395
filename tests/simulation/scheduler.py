"""Virtual time: coroutines that take turns, one at a time, in an order drawn from a seed.

No event loop, thread or clock of the machine takes part. Code under simulation awaits contracts only, and whoever
implements those ends up in `switch`, `sleep`, `park` or `join`: these are the scheduling points. Between two of them
a task runs alone. Whenever several tasks could run, chance picks the next one; when none can, time jumps on.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from random import Random
from typing import Any

SECOND = 1_000_000
"""Microseconds, the unit of virtual time."""

STEPS = 100_000
"""Turns after which a schedule counts as one that never ends: real ones take a few hundred, some a few thousand."""

_SUSPENDED = object()


class NeverEndsError(Exception):
    """The schedule took more turns than any sound one."""


class ForeignAwaitError(Exception):
    """Something awaited what is not of this scheduler: an event loop's future, perhaps."""


class CrashedError(Exception):
    """The task ended with its owner."""


class Owner:
    """What dies or stands still as a whole: a node, with all its tasks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen: list[Task] | None = None
        self.tasks: dict[Task, None] = {}


class Task:
    """One coroutine. `token` counts its waits, so that what wakes it up twice, or late, does nothing."""

    __slots__ = ("coroutine", "done", "error", "owner", "result", "then", "token", "value")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], owner: Owner) -> None:
        self.coroutine = coroutine
        self.owner = owner
        self.token = 0
        self.value: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.then: Callable[[Task], None] | None = None


Ticket = tuple[Task, int]
"""One wait of one task."""


@types.coroutine
def _suspend() -> Generator[Any, None, None]:
    yield _SUSPENDED


class Scheduler:
    """Runs tasks until the main one is done."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.now = 0
        self.steps = 0
        self.world = Owner("world")
        self.current: Task = Task(_nothing(), self.world)
        self.current.coroutine.close()
        self._running = False
        self._nested = 0
        self._owners: dict[Owner, None] = {}
        self._ready: list[Task] = []
        self._timers: list[tuple[int, int, Any, int]] = []
        self._made = 0
        self._doomed: Owner | None = None

    def spawn(self, coroutine: Coroutine[Any, Any, Any], owner: Owner | None = None) -> Task:
        """Let a coroutine take part."""
        owner = owner or self.world
        task = Task(coroutine, owner)
        if not owner.alive:
            coroutine.close()
            return task
        self._owners[owner] = None
        owner.tasks[task] = None
        self._ready.append(task)
        return task

    def begin(self, coroutine: Coroutine[Any, Any, Any], owner: Owner) -> Task:
        """Let a coroutine take part, and run it up to its first wait before the current task goes on."""
        before = self.current
        task = Task(coroutine, owner)
        task.then = _unheard
        owner.tasks[task] = None
        self._nested += 1
        self._run(task)
        self._nested -= 1
        self.current, self._running = before, True
        return task

    def at(self, delay: int, action: Callable[[], None]) -> None:
        """Do something after `delay` microseconds, whoever lives then."""
        self._made += 1
        heappush(self._timers, (self.now + max(delay, 0), self._made, action, -1))

    async def switch(self) -> None:
        """Let any task that can run go first."""
        self._ready.append(self.current)
        await _suspend()

    async def sleep(self, delay: int) -> None:
        """Go on after `delay` microseconds."""
        self.wake_after(self.ticket(), delay)
        await _suspend()

    def ticket(self) -> Ticket:
        """For `wake`: the next wait of the current task. Then call `park`, without any other await in between."""
        task = self.current
        task.token += 1
        return task, task.token

    async def park(self) -> Any:
        """Wait until somebody wakes the ticket that was taken last; return what came with that."""
        task = self.current
        await _suspend()
        value, task.value = task.value, None
        return value

    def wake(self, ticket: Ticket, value: Any = None) -> None:
        """End a wait; does nothing when it has ended already."""
        task, token = ticket
        if task.token == token and not task.done:
            task.token += 1
            task.value = value
            self._ready.append(task)

    def wake_after(self, ticket: Ticket, delay: int) -> None:
        """End a wait after `delay` microseconds, unless it has ended before."""
        self._made += 1
        heappush(self._timers, (self.now + max(delay, 0), self._made, ticket[0], ticket[1]))

    async def join(self, task: Task, delay: int | None = None) -> bool:
        """Wait until `task` is done, at most for `delay` microseconds; whether it is."""
        if not task.done:
            ticket = self.ticket()
            task.then = lambda _: self.wake(ticket)
            if delay is not None:
                self.wake_after(ticket, delay)
            await self.park()
        return task.done

    def crash(self, owner: Owner) -> None:
        """End every task of `owner` where it stands; nothing of them runs any more."""
        owner.alive = False
        if self._running and self.current.owner is owner:
            self._doomed = owner
        else:
            self._end(owner)

    def freeze(self, owner: Owner, delay: int) -> None:
        """Let no task of `owner` run for `delay` microseconds; what they wait for goes on meanwhile."""
        if owner.frozen is None:
            owner.frozen = []
            self.at(delay, lambda: self._thaw(owner))

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run `main` and all that it spawns until `main` is done; what is left is closed."""
        task = self.spawn(main)
        try:
            while not task.done:
                if self._ready:
                    self._turn()
                elif self._timers:
                    self._next_moment()
                else:
                    raise NeverEndsError("everybody waits for somebody else")
        finally:
            self.close()
        if task.error is not None:
            raise task.error
        return task.result

    def close(self) -> None:
        """Close every coroutine that is left."""
        for owner in self._owners:
            self._end(owner)
        self._ready.clear()
        self._timers.clear()

    def _turn(self) -> None:
        ready = self._ready
        last = len(ready) - 1
        chosen = int(self.chance.random() * (last + 1)) if last else 0
        task = ready[chosen]
        ready[chosen] = ready[last]
        ready.pop()
        owner = task.owner
        if owner.frozen is not None:
            owner.frozen.append(task)
        elif not task.done:
            self._run(task)

    def _run(self, task: Task) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise NeverEndsError(f"{STEPS} turns")
        self.current, self._running = task, True
        waits_for: Any = _SUSPENDED
        try:
            waits_for = task.coroutine.send(None)
        except StopIteration as stop:
            self._finish(task, stop.value, None)
        except Exception as error:  # noqa: BLE001 - whoever joins the task gets it
            self._finish(task, None, error)
        self._running = False
        if waits_for is not _SUSPENDED:
            raise ForeignAwaitError(f"{task.coroutine} awaits what no contract gives")
        if self._doomed is not None and not self._nested:
            owner, self._doomed = self._doomed, None
            self._end(owner)

    def _finish(self, task: Task, result: Any, error: Exception | None) -> None:
        task.done, task.result, task.error = True, result, error
        task.owner.tasks.pop(task, None)
        if task.then is not None:
            task.then(task)
        elif error is not None:
            raise error

    def _next_moment(self) -> None:
        timers = self._timers
        self.now, _, what, token = heappop(timers)
        self._fire(what, token)
        while timers and timers[0][0] == self.now:
            _, _, what, token = heappop(timers)
            self._fire(what, token)

    def _fire(self, what: Any, token: int) -> None:
        if isinstance(what, Task):
            self.wake((what, token))
        else:
            what()

    def _thaw(self, owner: Owner) -> None:
        frozen, owner.frozen = owner.frozen, None
        self._ready.extend(frozen or ())

    def _end(self, owner: Owner) -> None:
        tasks, owner.tasks = owner.tasks, {}
        for task in tasks:
            task.done, task.error = True, CrashedError(owner.name)
            task.coroutine.close()
            if task.then is not None:
                task.then(task)


async def _nothing() -> None:
    return None


def _unheard(task: Task) -> None:
    return None
