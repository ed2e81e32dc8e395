"""The loops: drive what was just started, claim and run what is due, keep house; start, drain, stop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from tieout.errors import DatabaseError, UnknownCall
from tieout.process.driving import CameTo, FollowUp, Fork
from tieout.process.engine import Engine
from tieout.process.moving import Receipt
from tieout.process.record import Record

log = logging.getLogger("tieout.worker")

Work = Callable[[], Awaitable[CameTo]]

FOLLOW_UPS = 10_000
"""Processes that wait in this worker's memory for their query; beyond that the sweep asks."""

WAITING_LINE = 10_000
"""Processes just written that wait in this worker's memory for a place; beyond that the sweep finds them."""

HOUSEKEEPING_EVERY = 3_600.0
"""Seconds between two rounds of retention."""

WATCH_EVERY = 5.0
"""Seconds between two looks at the database servers themselves."""

LONGEST_PAUSE = 10.0
"""Seconds between two claims while the database cannot be reached."""


class Limits(msgspec.Struct, frozen=True):
    """How much one worker does at a time. `sweep_every` and `drain` are in seconds.

    `queries` are those of mirrors' plans, of all suppliers together.
    """

    in_flight: int = 256
    batch: int = 50
    sweep_every: float = 1.0
    drain: float = 30.0
    queries: int = 256


class Worker:
    """Runs an engine's processes on the event loop, within limits."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        at_rest: Callable[[Record], None],
        housekeeping: Callable[[], Coroutine[Any, Any, None]],
        look: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.draining = False
        self._at_rest = at_rest
        self._housekeeping = housekeeping
        self._look = look
        self._running: dict[asyncio.Task[None], str | None] = {}
        self._busy: Counter[str | None] = Counter()
        self._lines: dict[str | None, deque[tuple[Record, Work]]] = {}
        self._waiting: set[asyncio.TimerHandle] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._freed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Processes that it is at work on now."""
        return len(self._running)

    def start(self) -> None:
        """Begin to sweep and to keep house."""
        self._loops += [asyncio.create_task(self._sweep_forever()), asyncio.create_task(self._keep_house_forever())]

    def watch(self) -> None:
        """Begin to look at the database servers now and then, which whoever accepts requests does too."""
        self._loops.append(asyncio.create_task(self._watch_forever()))

    def drive(self, record: Record) -> None:
        """Go on with a process that was just written by us."""
        if record.status == "running":
            self._soon(record, partial(self.engine.driving.at_once, record))

    def after_commit(self, record: Record, take: Callable[[bytes], Awaitable[Record | None]]) -> None:
        """Go on with a process that joined a transaction, if that was committed with it."""
        self._soon(record, partial(self._take, record, take))

    def go_on(self, record: Record) -> bool:
        """Go on with a process that was taken; False when that is left to the sweep."""
        return self._soon(record, partial(self._continue, record))

    def after(self, receipt: Receipt) -> None:
        """Do what follows from a report that came from outside."""
        if receipt.effect == "advanced" and not self.draining:
            self._spawn(receipt.record, self.engine.driving.after(receipt))

    async def drain(self) -> None:
        """Claim nothing more, let running work end for a while, and cancel the rest: the sweep finds it again."""
        self.draining = True
        for loop in self._loops:
            loop.cancel()
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        self._lines.clear()
        try:
            if self._running:
                log.info("draining: %d processes in flight", len(self._running))
                await asyncio.wait(set(self._running), timeout=self.limits.drain)
        finally:  # who is cancelled waits no longer, and leaves nothing at work
            left = set(self._running)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, *self._loops, return_exceptions=True)
        for task in left:
            self._ended(task)  # one that had not begun has not said so itself

    async def sweep(self) -> int:
        """Claim what is due, as far as there is room, and begin to work on it; how many were claimed."""
        room = min(self.limits.batch, self.limits.in_flight - self.in_flight)
        if room <= 0:
            return 0
        claimed = await self.engine.claiming.claim(room, self._lane_room)
        for record in claimed:
            self._spawn(record, self.engine.driving.take_over(record))
        return len(claimed)

    def _soon(self, record: Record, work: Work) -> bool:
        """Begin, now or as soon as there is room; False when that is left to the sweep."""
        if self.draining:
            return False
        if record.lane not in self._lines and not self._is_full(record.lane):
            self._spawn(record, work())
            return True
        if sum(map(len, self._lines.values())) >= WAITING_LINE:
            return False
        self._lines.setdefault(record.lane, deque()).append((record, work))
        return True

    def _admit(self) -> None:
        """Begin what waits for a place, and leave a quarter of them to the sweep: what waits in the table is older."""
        for lane, line in [*self._lines.items()]:
            while line and 4 * self.in_flight < 3 * self.limits.in_flight and not self._is_full(lane):
                record, work = line.popleft()
                self._spawn(record, work())
            if not line:
                del self._lines[lane]

    def _spawn(self, record: Record, work: Awaitable[CameTo]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run_as_task(work))
        self._running[task] = record.lane
        self._busy[record.lane] += 1
        return task

    async def _take(self, record: Record, take: Callable[[bytes], Awaitable[Record | None]]) -> CameTo:
        taken = await take(record.id)
        return record if taken is None else await self._continue(taken)

    def _continue(self, record: Record) -> Awaitable[CameTo]:
        """Nobody can have sent what a process waits for that nobody has claimed."""
        driving = self.engine.driving
        return driving.take_over(record) if record.attempts else driving.at_once(record)

    def _ended(self, task: asyncio.Task[Any] | None) -> None:
        if task in self._running:
            self._busy[self._running.pop(task)] -= 1
            self._freed.set()
            self._admit()

    def _is_full(self, lane: str | None) -> bool:
        # The reserves are half of all places: below that there is room for every lane.
        return 2 * self.in_flight >= self.limits.in_flight and self._lane_room(lane) <= 0

    def _lane_room(self, lane: str | None) -> int:
        """How many more processes of a lane may be worked on; what others have left of their reserve stays theirs."""
        lanes = self.engine.claiming.lanes()
        reserve = self.limits.in_flight // (2 * len(lanes)) if lanes else 0
        kept = sum(max(0, reserve - self._busy[other]) for other in lanes if other != lane)
        return self.limits.in_flight - self.in_flight - kept

    async def _run_as_task(self, work: Awaitable[CameTo]) -> None:
        try:
            await self._run(work)
        finally:
            self._ended(asyncio.current_task())

    async def _run(self, work: Awaitable[CameTo]) -> Record | None:
        """Do it and what follows from it; where the process came to rest, or None when somebody goes on with it."""
        try:
            came_to = await work
        except DatabaseError as error:
            log.warning("a process is left to the sweep: %s", error)
        except UnknownCall as error:
            log.error("a process is gone, and what its downstream did is told nowhere: %s", error)  # noqa: TRY400 - that it is gone says it all
        except Exception:
            log.exception("a process is left to the sweep")
        else:
            if isinstance(came_to, FollowUp):
                self._follow_up_later(came_to)
            elif isinstance(came_to, Fork):
                self._begin(came_to)
            else:
                self._at_rest(came_to)
                return came_to
        return None

    def _begin(self, fork: Fork) -> None:
        for branch in fork.branches:
            self._soon(fork.record, branch)

    def _follow_up_later(self, follow_up: FollowUp) -> None:
        if self.draining or len(self._waiting) >= FOLLOW_UPS:
            return

        def begin() -> None:
            self._waiting.discard(handle)
            self._soon(follow_up.record, partial(self.engine.driving.follow_up, follow_up))

        handle = asyncio.get_running_loop().call_later(follow_up.wait, begin)
        self._waiting.add(handle)

    async def _sweep_forever(self) -> None:
        pause = self.limits.sweep_every
        while True:
            try:
                claimed = await self.sweep()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the database does
                pause = min(2 * pause, LONGEST_PAUSE)
                log.warning("the sweep could not claim, next try in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
                continue
            pause = self.limits.sweep_every
            await self._wait_for_room() if claimed else await asyncio.sleep(pause)

    async def _wait_for_room(self) -> None:
        while len(self._running) >= self.limits.in_flight:
            self._freed.clear()
            await self._freed.wait()
        await asyncio.sleep(0)

    async def _keep_house_forever(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_EVERY * (0.5 + self.engine.world.chance.random() / 2))
            try:
                await self._housekeeping()
            except Exception:
                log.exception("housekeeping failed; next round in an hour")

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            try:
                await self._look()
            except DatabaseError as error:
                log.warning("the database servers could not be looked at: %s", error)
            except Exception:
                log.exception("looking at the database servers failed")
