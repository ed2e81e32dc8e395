"""The worker on threads: the same limits, claims and ways on, without an event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from threading import Condition, Event, Thread
from typing import Any, cast

from tieout.blocking.threads import Later, Threads
from tieout.database.driving import drive
from tieout.errors import DatabaseError
from tieout.process.driving import CameTo, FollowUp
from tieout.process.engine import Engine
from tieout.process.record import Record
from tieout.worker import FOLLOW_UPS, HOUSEKEEPING_EVERY, LONGEST_PAUSE, WATCH_EVERY, Limits, Worker

log = logging.getLogger("tieout.worker")


class Here:
    """Stands for work in the thread that asked for it, which nobody can cancel."""

    __slots__ = ()

    def cancel(self) -> bool:
        """It runs already."""
        return False


class ThreadWorker(Worker):
    """Runs an engine's processes on threads, one for each process that is in flight."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        at_rest: Callable[[Record], None],
        housekeeping: Callable[[], Coroutine[Any, Any, None]],
        look: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(engine, limits, at_rest, housekeeping, look)
        self._threads = Threads(limits.in_flight, "tieout-worker")
        self._later = Later()
        self._changed = Condition()
        self._stopping = Event()
        self._at_work: dict[Future[Any] | Here, str | None] = {}

    @property
    def in_flight(self) -> int:
        """Processes that it is at work on now."""
        return len(self._at_work)

    def start(self) -> None:
        """Begin to sweep and to keep house."""
        for loop, name in ((self._sweep_on, "tieout-sweep"), (self._keep_house, "tieout-house")):
            Thread(target=loop, name=name, daemon=True).start()

    def watch(self) -> None:
        """Begin to look at the database servers now and then, which whoever accepts requests does too."""
        Thread(target=self._watch_on, name="tieout-watch", daemon=True).start()

    def drive_here(self, record: Record, ends: float) -> Record | None:
        """Go on in this thread with a process that it has just started: to rest, or to a call that may end too late.

        None when it has not come to rest; somebody else goes on with it then, or the sweep finds it.
        """
        if self.draining or record.status != "running" or self._is_full(record.lane):
            return None
        here = Here()
        with self._changed:
            self._at_work[here] = record.lane
            self._busy[record.lane] += 1
        try:
            return drive(self._run(self.engine.driving.at_once(record, ends)))
        finally:
            self._free(here)

    async def drain(self) -> None:
        """Claim nothing more, and let running work end for a while; what runs on then is found by the sweep."""
        self.draining = True
        self._stopping.set()
        self._later.close()
        ends = time.monotonic() + self.limits.drain
        with self._changed:
            while self._at_work and (left := ends - time.monotonic()) > 0:
                self._changed.wait(left)
            for future in list(self._at_work):
                future.cancel()
        self._threads.close()

    def _spawn(self, record: Record, work: Awaitable[CameTo]) -> Any:
        steps = self._run(work)
        with self._changed:
            future = self._threads.submit(lambda: drive(steps))
            self._at_work[future] = record.lane
            self._busy[record.lane] += 1
        future.add_done_callback(lambda future: self._done(future, steps, work))
        return future

    def _done(self, future: Future[Any], steps: Coroutine[Any, Any, Any], work: Awaitable[CameTo]) -> None:
        if future.cancelled():
            steps.close()
            cast("Coroutine[Any, Any, CameTo]", work).close()
        self._free(future)

    def _free(self, future: Future[Any] | Here) -> None:
        with self._changed:
            self._busy[self._at_work.pop(future)] -= 1
            self._changed.notify_all()

    def _follow_up_later(self, follow_up: FollowUp) -> None:
        if self.draining or len(self._later) >= FOLLOW_UPS:
            return

        def begin() -> None:
            if not self._is_full(follow_up.record.lane):
                self._spawn(follow_up.record, self.engine.driving.follow_up(follow_up))

        self._later.call(follow_up.wait, begin)

    def _sweep_on(self) -> None:
        pause = self.limits.sweep_every
        while not self._stopping.is_set():
            try:
                claimed = drive(self.sweep())
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the database does
                if self._stopping.is_set():
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
                log.warning("the sweep could not claim, next try in %.1f s: %s", pause, error)
                self._stopping.wait(pause)
                continue
            pause = self.limits.sweep_every
            if claimed:
                self._await_room()
            else:
                self._stopping.wait(pause)

    def _await_room(self) -> None:
        with self._changed:
            while self.in_flight >= self.limits.in_flight and not self._stopping.is_set():
                self._changed.wait(self.limits.sweep_every)

    def _keep_house(self) -> None:
        while not self._stopping.wait(HOUSEKEEPING_EVERY * (0.5 + self.engine.world.chance.random() / 2)):
            try:
                drive(self._housekeeping())
            except Exception:
                log.exception("housekeeping failed; next round in an hour")

    def _watch_on(self) -> None:
        while not self._stopping.wait(WATCH_EVERY):
            try:
                drive(self._look())
            except DatabaseError as error:
                log.warning("the database servers could not be looked at: %s", error)
            except Exception:
                log.exception("looking at the database servers failed")
