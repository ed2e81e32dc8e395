"""The queries of one supplier's plan: each has a place of its supplier's and of the node's before it takes a token."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from tieout.coordination.budget import Token
from tieout.coordination.lease import Lease
from tieout.mirror.copying import Copy
from tieout.mirror.observed import Cause, Observed
from tieout.mirror.planning import Planning
from tieout.mirror.schedule import Unit
from tieout.mirror.suppliers import BEYOND, PATIENCE, Following
from tieout.mirror.traffic import Traffic

PLANNED = 200
"""Units that are planned at a time."""

PLAN_LASTS = 5.0
"""Longest that a plan is used, in seconds, where nothing becomes doubtful meanwhile."""

NOTHING_LASTS = 0.25
"""Seconds until it is planned anew after there was nothing to ask for."""

NOTHING_EACH = 0.005
"""The same for each supplier that the node leads, if that is longer: many that are at rest are no work."""

AHEAD = 0.5
"""Seconds for which tokens are taken ahead, in one statement, while the node has places free; one at the least."""

SOON = 0.25
"""The same while the node has none: it takes those that are used so soon, if places come on as they do."""

NEAR = 0.1
"""Seconds before its token that a query wants a place of the node's: until then it keeps none from others."""

SPARE = 1.0
"""Seconds by which a lead outlasts a query that is about to be begun: its token may be a little way off."""

REFUSED_PAUSE = 1.0
"""Seconds until a token is asked for again that was too far off."""

FIRST_PAUSE = 1.0
"""Seconds until a unit that was not answered is asked for again; doubled for each further time."""

LONGEST_PAUSE = 300.0
"""Longest such pause, in seconds."""

FORGOTTEN = 3_600.0
"""Seconds behind such a pause after which nobody knows of it any more: nothing of the unit is due."""

Window: TypeAlias = tuple[str, int, int]
"""What was asked for, whatever becomes of the catalogue: the group's key, the first cell, and how many."""


class Asking:
    """What one supplier is asked for by plan, while this node leads its copy.

    `lease` is the lead as it stands, `renew` makes it longer; `stage` takes what is answered, and `ended` is told of
    each query that has ended, with its error if it raised one.
    """

    def __init__(
        self,
        following: Following,
        planning: Planning,
        traffic: Traffic,
        *,
        lease: Callable[[], Lease],
        renew: Callable[[], Awaitable[None]],
        stage: Callable[[Observed], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self.following = following
        self.planning = planning
        self._traffic = traffic
        self._lease, self._renew, self._stage, self._tell = lease, renew, stage, ended
        self._world = following.world
        self._tasks: dict[asyncio.Task[None], Unit] = {}
        self._asked: set[Unit] = set()
        self._failures: dict[Window, tuple[int, float]] = {}
        self._plan: deque[tuple[Unit, Cause]] = deque()
        self._planned_until = -math.inf
        self._was_something = False
        self._in_line = asyncio.Lock()
        self._tokens: deque[Token] = deque()
        self._next_token_at = -math.inf
        self._had_token_at, self._pace = -math.inf, math.inf

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def is_under_way(self) -> bool:
        """Whether the supplier is being asked."""
        return bool(self._asked)

    @property
    def free_places(self) -> int:
        """How many more queries of the plan may be under way: of its own places, or in the one slot that it shares."""
        return max(self.following.terms.places.plan, 1) - len(self._tasks) - self.following.unanswered

    def begin(self, copy: Copy, answered: Iterable[Observed], *, kept: int = 0) -> None:
        """Ask for what is due, as many at a time as the supplier bears; not for what is `answered` and not stored.

        So many of the plan's places are `kept` for others.
        """
        free = self.free_places - kept
        if free <= 0 or not self._may_ask():
            return
        self._look_ahead(copy, answered)
        if (audit := self.planning.audit(copy)) and audit not in self._tasks.values():
            self._plan.appendleft((audit, "audit"))
        for _ in range(min(free, len(self._plan))):
            unit, cause = self._plan.popleft()
            task = asyncio.create_task(self._query(copy.groups[unit.group].name, unit, cause))
            self._tasks[task] = unit
            task.add_done_callback(self._ended)

    def forget_plan(self) -> None:
        """Plan anew: the groups are others, or there are doubts."""
        self._plan.clear()
        self._planned_until = -math.inf

    async def finish(self) -> None:
        """Ask for nothing more, and wait for what is asked, in time."""
        for task, unit in self._tasks.items():
            if unit not in self._asked:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.following.terms.timeout)

    async def drop(self) -> None:
        """Let nothing go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.forget_plan()

    def _may_ask(self) -> bool:
        return not self.following.paused and self.following.may_ask()

    def _look_ahead(self, copy: Copy, answered: Iterable[Observed]) -> None:
        """Plan what to ask for next, unless there is a plan that is young enough."""
        now = self._world.clock.monotonic()
        if now < self._planned_until and (self._plan or not self._was_something):
            return
        self._failures = {one: left for one, left in self._failures.items() if left[1] > now - FORGOTTEN}
        alone = [one for one, (_, until) in self._failures.items() if until > now and one[0] in copy.index]
        failed = (Unit(copy.index[name], first, cells) for name, first, cells in alone)
        known = (Unit(copy.index[one.group], one.first, one.count) for one in answered if one.group in copy.index)
        units = self.planning.units(copy, PLANNED, {*self._tasks.values(), *failed, *known})
        self._plan = deque((unit, "sync") for unit in units)
        self._was_something = bool(self._plan)
        nothing_lasts = max(NOTHING_LASTS, NOTHING_EACH * self._traffic.leads)
        self._planned_until = now + (PLAN_LASTS if self._plan else nothing_lasts)

    async def _query(self, group: str, unit: Unit, cause: Cause) -> None:
        """Stage what the supplier says; what it does not answer is left alone for a while."""
        async with self._in_line:  # one of each supplier at a time, so that all have their turn
            await self._foresee_token()
            await self._near_token()
            await self._traffic.places.acquire()
            try:
                token = await self._take_token() if await self._hold_lead() else None
            except BaseException:
                self._traffic.places.release()
                raise
        try:
            if token is not None and await self.following.budget.use(token) and self._may_ask():
                self._asked.add(unit)
                await self._ask(group, unit, cause, token)
        finally:
            self._asked.discard(unit)
            self._traffic.places.release()

    async def _ask(self, group: str, unit: Unit, cause: Cause, token: Token) -> None:
        slot, timeout = None, self.following.terms.timeout
        if shared := self.following.terms.places.shared:
            slot = await self.following.slots.take(shared, 0.0, BEYOND * timeout)
            if slot is None:
                return
        may_begin = self._world.leases.may_begin(self._lease(), timeout)
        may_begin &= slot is None or self.following.slots.lasts(slot, BEYOND * timeout)
        if not (may_begin and await self.following.budget.use(token)):
            if slot is not None:
                await self.following.give_back(slot)
            return
        observed = await self.following.ask(group, unit.first, unit.cells, cause, self._came_late, slot)
        if observed is None:
            self._note_failure((group, unit.first, unit.cells))
        else:
            self._stage(observed)

    async def _hold_lead(self) -> bool:
        """Whether our lead outlasts a query, renewed where it has to be: else a token would be taken for nothing."""
        timeout = self.following.terms.timeout
        if not self._world.leases.may_begin(self._lease(), timeout + SPARE):
            await self._renew()
        return self._world.leases.may_begin(self._lease(), timeout)

    async def _foresee_token(self) -> None:
        """Take the next token some time before its own, while the node has places free.

        It is in time then, however much else the node and the database have to do at that moment: by as much as a token
        is asked for late, all that come after it are later.
        """
        wait = self._next_token_at - self._world.clock.monotonic()
        if self._tokens or wait <= 0 or self._traffic.is_crowded:
            return
        if wait > AHEAD:
            await self._world.clock.sleep(wait - AHEAD)
        if not self._traffic.is_crowded and await self._hold_lead():
            await self._reserve()

    async def _near_token(self) -> None:
        """Wait until the next token is near, as far as this node knows."""
        at = self._tokens[0].at if self._tokens else self._next_token_at
        wait = at - NEAR - self._world.clock.monotonic()
        if wait > 0:
            await self._world.clock.sleep(wait)

    async def _take_token(self) -> Token | None:
        """The next token, of those taken ahead or a new one; None when it is far off."""
        now = self._world.clock.monotonic()
        self._had_token_at, self._pace = now, now - self._had_token_at
        while self._tokens and self._tokens[0].lost < now:
            self._tokens.popleft()
        if not self._tokens:
            await self._reserve()
        if not self._tokens:
            self._next_token_at = self._world.clock.monotonic() + REFUSED_PAUSE
            return None
        return self._tokens.popleft()

    async def _reserve(self) -> None:
        """Take the next tokens, as many as are used in time."""
        budget = self.following.budget
        interval = budget.interval("sync")
        pace = self._pace if self._traffic.is_crowded else 0.0
        count = tokens_ahead(interval, len(self._plan), pace)
        self._tokens.extend(await budget.reserve("sync", PATIENCE, count, till=self._traffic.till))
        if self._tokens:
            self._next_token_at = self._tokens[-1].at + interval / 1_000_000

    def note_published(self, answered: Iterable[Observed], garbled: Iterable[Observed]) -> None:
        """Know which answers could be used: what is answered with garbage is asked for less and less often too."""
        wrong = set(map(_window, garbled))
        for window in set(map(_window, answered)) - wrong if self._failures else ():
            self._failures.pop(window, None)
        for window in wrong:
            self._note_failure(window)

    def _note_failure(self, window: Window) -> None:
        times = self._failures.get(window, (0, 0.0))[0] + 1
        pause = min(FIRST_PAUSE * 2 ** min(times - 1, 30), LONGEST_PAUSE) * (0.5 + self._world.chance.random())
        self._failures[window] = times, self._world.clock.monotonic() + pause

    async def _came_late(self, observed: Observed) -> None:
        self._stage(observed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._tell(None if task.cancelled() else task.exception())


def _window(observed: Observed) -> Window:
    return observed.group, observed.first, observed.count


def tokens_ahead(interval: int, planned: int, pace: float) -> int:
    """How many tokens to take in one statement, each `interval` microseconds behind the one before.

    So many as lie in the next moment and are used while they are good: one more for each query that is planned, if
    the next ones come `pace` seconds apart (0: as fast as tokens do).
    """
    count = min(int(AHEAD * 1_000_000 / interval), planned)
    return 1 + (min(count, int(SOON / pace)) if pace > 0 else count)
