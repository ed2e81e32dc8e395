"""Virtual time: one clock for everything in a play, moved by hand, and an event loop that obeys it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_767_225_600_000_000
"""Where the clock of a play's database begins, 2026-01-01 00:00 UTC, in microseconds since 1970."""

AT_ONCE = 5e-10
"""Seconds that are rounding and no wait: half of what asyncio itself takes for the same moment."""


def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of what a play's methods return, without `await`: for tests that are no `async def`."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    work.close()
    raise RuntimeError("this waits for something outside the play: await it in an async test")


class VirtualTime:
    """The clock of a play: for its event loops, for the engine, and in microseconds for the database."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds since the play began."""
        return self.now

    def micros(self) -> int:
        """The database server's time."""
        return EPOCH + round(self.now * 1_000_000)

    def seconds(self, micros: int) -> float:
        """A time of the database in seconds since the play began."""
        return (micros - EPOCH) / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that never waits: when nothing can run it stops and says for how long.

    Sleeping, time-outs, locks and tasks work as ever; a function for another thread runs at once, in this one; what
    would reach another process is refused, and `refused` is told.
    """

    def __init__(self, time: VirtualTime, refused: Callable[[str], None]) -> None:
        self._virtual = time
        self._never = _NeverWaits(refused)
        super().__init__(self._never)
        self._never.begin(self.stop)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.now

    def run_ready(self) -> float | None:
        """Run all that can run at this moment; return when the next timer rings, None when none is set."""
        with _apart():
            self.run_forever()
        return None if self._never.pause is None else self._virtual.now + self._never.pause

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` here and now: threads would make a play depend on the machine."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the future's, as from a thread
            future.set_exception(error)
        return future

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        """Refuse: there is no network in a play."""
        self._never.refuse(f"looked up the address of {host}")


class _NeverWaits(selectors.BaseSelector):
    """A selector that stops its loop in place of waiting; it serves no file but the loop's own pipe."""

    def __init__(self, refused: Callable[[str], None]) -> None:
        self.pause: float | None = None
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._refused = refused
        self._stop: Callable[[], None] | None = None

    def begin(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def refuse(self, what: str) -> None:
        text = f"a handler {what}: there is no network in a play; script the call, or give a fake as deps"
        self._refused(text)
        raise OSError(text)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._stop is not None:
            self.refuse("opened a connection")
        return self._keep(selectors.SelectorKey(fileobj, _number(fileobj), events, data))

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._keep(selectors.SelectorKey(fileobj, _number(fileobj), events, data))

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(_number(fileobj))

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.pause = timeout
        if self._stop is not None and (timeout is None or timeout > AT_ONCE):
            self._stop()
        return []

    def _keep(self, key: selectors.SelectorKey) -> selectors.SelectorKey:
        self._keys[key.fd] = key
        return key


def _number(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


@contextmanager
def _apart() -> Iterator[None]:
    """Let a loop run here although a test's own loop may be running around it.

    The four functions are asyncio's own offer to other loops ("Extending" in its documentation).
    """
    outer = asyncio._get_running_loop()  # noqa: SLF001 - offered to other loops
    task = asyncio.current_task(outer) if outer is not None else None
    if outer is not None and task is not None:
        asyncio._leave_task(outer, task)  # noqa: SLF001 - offered to other loops
    asyncio._set_running_loop(None)  # noqa: SLF001 - offered to other loops
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)  # noqa: SLF001 - offered to other loops
        if outer is not None and task is not None:
            asyncio._enter_task(outer, task)  # noqa: SLF001 - offered to other loops
