"""The loop of one supplier: whichever node holds its lease asks, publishes, and reads what others have left."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque

from tieout.coordination.budget import Token
from tieout.coordination.lease import Lease, LostLease
from tieout.errors import DatabaseError
from tieout.mirror.answers import Garbled
from tieout.mirror.copying import Copy
from tieout.mirror.define import SlowDown
from tieout.mirror.measuring import Measuring
from tieout.mirror.observed import Cause, Observed
from tieout.mirror.planning import Planning
from tieout.mirror.schedule import Unit
from tieout.mirror.suppliers import PATIENCE, Following

log = logging.getLogger("tieout.mirror")

LOOK_EVERY = 1.0
"""Seconds between two looks at what others have left, and whether the copy is paused."""

LOOK_PAUSE, LOOK_LATEST = 4, 5.0
"""From one look to the next at least so many times as long as the last one took, and at most so many seconds."""

PUBLISH_EVERY = 0.3
"""How long an answer waits for others to be published with it, in seconds."""

PUBLISH_PAUSE = 10
"""It waits so many times as long as the last publication took, if that is longer: then more is done in one."""

PUBLISH_LATEST = 5.0
"""Longest that it waits, in seconds."""

PUBLISH_ITEMS = 1_500
"""Items that are published at once without waiting."""

PLANNED = 64
"""Units that are planned at a time; a plan is for a second at most."""

AHEAD = 0.5
"""Seconds for which tokens are taken ahead, in one statement; one token at the least."""

FIRST_PAUSE = 1.0
"""Seconds until a query that failed is tried again; doubled for each further time."""

LONGEST_PAUSE = 300.0
"""Longest such pause, in seconds."""

CATALOGUE_TIMEOUT = 3_600.0
"""Longest that reading a catalogue may take, in seconds."""


class Leading:
    """Follows one supplier while this node holds its lease."""

    def __init__(self, following: Following, planning: Planning, measuring: Measuring) -> None:
        self.following = following
        self.planning = planning
        self.measuring = measuring
        self.stopping = asyncio.Event()
        self._world = following.world
        self._tasks: dict[asyncio.Task[Observed | None], Unit] = {}
        self._failures: dict[Unit, tuple[int, float]] = {}
        self._staged: list[Observed] = []
        self._staged_at = 0.0
        self._publish_every = PUBLISH_EVERY
        self._plan: deque[tuple[Unit, Cause]] = deque()
        self._planned_at = -math.inf
        self._tokens: deque[Token] = deque()
        self._looked_at = 0.0
        self._look_every = LOOK_EVERY
        self._catalogue_failures = 0
        self._catalogue_after = 0.0

    async def run(self) -> None:
        """Take the lease when it is free, and lead while it is ours; return when told to stop."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                lease = await self._world.leases.take(f"mirror/{self.following.name}")
                if lease is not None:
                    await self._lead(lease)
                pause = FIRST_PAUSE
            except LostLease:
                log.warning("%s: the lease was lost", self.following.name)
            except DatabaseError as error:
                log.warning("%s: next try in %g s: %s", self.following.name, pause, error)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                log.exception("%s: next try in %g s", self.following.name, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            await self._sleep(pause)

    async def _lead(self, lease: Lease) -> None:
        copy = await self.following.load()
        await self.following.look()
        try:
            while not self.stopping.is_set():
                lease = await self._turn(lease, copy)
            await asyncio.wait(self._tasks, timeout=self.following.terms.timeout) if self._tasks else None
            self._collect()
            await self._publish(lease, copy)
        finally:
            await self._drop()
            await self._world.leases.release(lease)

    async def _turn(self, lease: Lease, copy: Copy) -> Lease:
        """Do what there is to do now, then wait until there may be more."""
        if self._world.clock.monotonic() - self._looked_at >= self._look_every:
            lease = await self._look(lease, copy)
        if not self._is_catalogue_due():
            await self._begin(lease, copy)
        elif not self._tasks:
            lease = await self._read_catalogue(lease, copy)
        if not self._tasks:
            lease = await self._publish(lease, copy)
            await self._sleep(LOOK_EVERY / 2)
            return lease
        await asyncio.wait(self._tasks, timeout=PUBLISH_EVERY, return_when=asyncio.FIRST_COMPLETED)
        self._collect()
        waited = self._world.clock.monotonic() - self._staged_at
        is_many = sum(len(one.items) for one in self._staged) >= PUBLISH_ITEMS
        return await self._publish(lease, copy) if is_many or waited >= self._publish_every else lease

    async def _look(self, lease: Lease, copy: Copy) -> Lease:
        """Look at what others have left; what takes long is done less often, so that most of the time is for asking."""
        self._looked_at = self._world.clock.monotonic()
        await self.following.look()
        lease = await self._world.leases.keep(lease)
        if self.following.has_mail:
            lease = await self.following.drain(lease, copy)
        await self.planning.look(copy)
        await self.measuring.look(copy)
        await self.following.purge()
        took = self._world.clock.monotonic() - self._looked_at
        self._look_every = min(max(LOOK_EVERY, LOOK_PAUSE * took), LOOK_LATEST)
        return lease

    async def _begin(self, lease: Lease, copy: Copy) -> None:
        """Ask for what is due, as many at a time as the supplier bears."""
        free = self.following.terms.concurrency - len(self._tasks)
        if free <= 0 or self.following.paused or not self.following.may_ask():
            return
        self._look_ahead(copy)
        if (audit := self.planning.audit(copy)) and audit not in self._tasks.values():
            self._plan.appendleft((audit, "audit"))
        if not self._plan:
            return
        for token in await self._take_tokens(min(free, len(self._plan))):
            unit, cause = self._plan.popleft()
            query = self._query(lease, copy.groups[unit.group].name, unit, cause, token)
            self._tasks[asyncio.create_task(query)] = unit

    def _look_ahead(self, copy: Copy) -> None:
        """Plan what to ask for next, unless there is a plan that is young enough."""
        now = self._world.clock.monotonic()
        if self._plan and now < self._planned_at + LOOK_EVERY:
            return
        busy = {*self._tasks.values(), *(unit for unit, (_, until) in self._failures.items() if until > now)}
        staged = {(one.group, one.first, one.count) for one in self._staged}
        due = self.planning.units(copy, len(busy) + len(staged) + PLANNED)
        self._plan = deque(
            (unit, "sync")
            for unit in due
            if unit not in busy and (copy.groups[unit.group].name, unit.first, unit.cells) not in staged
        )
        self._planned_at = now

    async def _take_tokens(self, count: int) -> list[Token]:
        """At most so many tokens, of those taken ahead or new ones; none when the next one is far off."""
        now, budget = self._world.clock.monotonic(), self.following.budget
        while self._tokens and self._tokens[0].lost < now:
            self._tokens.popleft()
        if not self._tokens:
            ahead = 1 + int(AHEAD * 1_000_000 / budget.interval("sync"))
            self._tokens.extend(await budget.reserve("sync", PATIENCE, min(ahead, len(self._plan))))
        return [self._tokens.popleft() for _ in range(min(count, len(self._tokens)))]

    async def _query(self, lease: Lease, group: str, unit: Unit, cause: Cause, token: Token) -> Observed | None:
        """What the supplier says; None when it was not asked, or gave no answer: then it is left alone for a while."""
        if not await self.following.budget.use(token):
            return None
        if not self._world.leases.may_begin(lease, self.following.terms.timeout):
            return None
        observed = await self.following.ask(group, unit.first, unit.cells, cause, self._came_late)
        if observed is None:
            self._note_failure(unit)
        else:
            self._failures.pop(unit, None)
        return observed

    def _note_failure(self, unit: Unit) -> None:
        times = self._failures.get(unit, (0, 0.0))[0] + 1
        pause = min(FIRST_PAUSE * 2 ** min(times - 1, 30), LONGEST_PAUSE) * (0.5 + self._world.chance.random())
        self._failures[unit] = times, self._world.clock.monotonic() + pause

    async def _came_late(self, observed: Observed) -> None:
        self._stage(observed)

    def _collect(self) -> None:
        """Stage what has been answered."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            observed = None if task.cancelled() else task.result()
            if observed is not None:
                self._stage(observed)

    def _stage(self, observed: Observed) -> None:
        if not self._staged:
            self._staged_at = self._world.clock.monotonic()
        self._staged.append(observed)

    async def _publish(self, lease: Lease, copy: Copy) -> Lease:
        if not self._staged:
            return lease
        staged, self._staged = self._staged, []
        begun = self._world.clock.monotonic()
        try:
            lease = (await self.following.publish(lease, copy, staged)).lease
        except DatabaseError:
            self._staged = staged + self._staged
            raise
        took = self._world.clock.monotonic() - begun
        self._publish_every = min(max(PUBLISH_EVERY, PUBLISH_PAUSE * took), PUBLISH_LATEST)
        return lease

    def _is_catalogue_due(self) -> bool:
        may_read = not self.following.paused and self._world.clock.monotonic() >= self._catalogue_after
        return may_read and self.following.is_catalogue_due()

    async def _read_catalogue(self, lease: Lease, copy: Copy) -> Lease:
        try:
            async with asyncio.timeout(CATALOGUE_TIMEOUT):
                lease = await self.following.read_catalogue(lease, copy)
            self._catalogue_failures = 0
            return lease
        except (LostLease, DatabaseError):
            raise
        except (Garbled, SlowDown, TimeoutError) as error:
            log.warning("%s: the catalogue is not used: %s", self.following.name, error)
        except Exception:
            log.exception("%s: the catalogue is not used", self.following.name)
        self._catalogue_failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._catalogue_failures, 30), LONGEST_PAUSE)
        self._catalogue_after = self._world.clock.monotonic() + pause
        return await self._world.leases.renew(lease)

    async def _sleep(self, seconds: float) -> None:
        """Sleep with jitter, or until told to stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds * (0.75 + self._world.chance.random() / 2))
        except TimeoutError:
            return

    async def _drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
