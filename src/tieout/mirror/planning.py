"""What to ask one supplier for next: the plan's ticks, what is doubtful, what is wanted most, and random audits."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieout.contracts import Transaction
from tieout.mirror.calendar import NEVER, Bools, Ints
from tieout.mirror.choices import Choices, Chosen
from tieout.mirror.copying import Copy
from tieout.mirror.define import largest
from tieout.mirror.demand import Demand, DemandStore, hottest
from tieout.mirror.doubts import EVERY, Doubt, Doubts
from tieout.mirror.schedule import (
    Doubted,
    Tier,
    Unit,
    Wanted,
    by_turns,
    doubted_units,
    due_units,
    latest_tick,
    never_asked,
    settled,
)
from tieout.mirror.store import Suspect
from tieout.mirror.suppliers import Following

DOUBTS = 1_000
"""Doubts, and suspect cells, that are looked at at a time; the others wait until these are settled."""

DEMAND_EVERY = 30.0
"""Seconds between two looks at what is wanted most."""

BOOST = 4
"""How many times as often a boosted group is asked for."""

BESIDE_PLAN = 0.5
"""Share of the queries that doubtful cells have, as long as there are some, beside what the plan's ticks make due."""

BESIDE_FIRST_LOAD = 0.02
"""The same beside what was never asked for, of which readers are told nothing at all yet."""

FIRST_AUDIT = 60.0
"""Seconds that a copy is led before the first audit; and the shortest mean time between two."""


class Looked(NamedTuple):
    """What is read of a copy for its plan."""

    doubts: list[Doubt]
    suspects: list[Suspect]
    choices: dict[int, Chosen]
    popularity: dict[int, float] | None


class Planning:
    """The plan of one copy, on the node that leads it."""

    def __init__(self, following: Following, demand: Demand) -> None:
        self.following = following
        self.demand = demand
        world = following.world
        self._doubts, self._choices = Doubts(world.database.dialect), Choices(world.database.dialect)
        self._popularity = DemandStore(world.database.dialect)
        self._doubted: list[Doubted] = []
        self._effort: Ints | None = None
        self._hot: dict[Tier, Bools] = {}
        self._demand_at = -DEMAND_EVERY
        self._audit_at = world.clock.monotonic() + FIRST_AUDIT
        self._is_loaded = False

    def units(self, copy: Copy, limit: int, left_out: Collection[Unit] = frozenset()) -> list[Unit]:
        """Which units to ask for next, at most `limit`, but for those `left_out`, which are asked for already.

        They are left out before others take turns: where most of what is due is, what is doubtful has no more turns.
        """
        following, now = self.following, self.following.moments.earliest()
        first, resting, axis = copy.first(now), following.terms.resting, following.layout.axis
        effort = self._effort if self._effort is not None and len(self._effort) == len(first) else None
        enough = limit + len(left_out)
        wanted = self._wanted(now, len(first))
        due = due_units(wanted, copy.checks, first, self._most, now, resting, enough, effort=effort)
        due = [unit for unit in due if unit not in left_out]
        if not self._doubted:
            return due[:limit]
        doubted = doubted_units(
            self._doubted,
            copy.checks,
            first,
            axis.count,
            self._most,
            now=now,
            resting=resting,
            limit=enough,
            effort=effort,
        )
        doubted = [unit for unit in doubted if unit not in left_out]
        share = BESIDE_FIRST_LOAD if due and never_asked(due[0], copy.checks) else BESIDE_PLAN
        return by_turns(doubted, due, share, following.world.chance)[:limit]

    def audit(self, copy: Copy) -> Unit | None:
        """A unit drawn from all of them, when it is time: at moments of a Poisson process, so that nothing is favoured.

        What such queries find of the copy is found of it at any time (PASTA: Wolff 1982). What was never asked for when
        the first one is due is given its time before: there is nothing to find out about it.
        """
        now, share = self.following.world.clock.monotonic(), self.following.terms.audits
        if not share or now < self._audit_at or not copy.groups:
            return None
        if not self._is_loaded:
            self._is_loaded = True
            self._audit_at = now + self._unknown(copy) * self.following.budget.interval("sync") / 1_000_000
            return None
        rate = self.following.terms.classes["sync"]
        mean = max(FIRST_AUDIT, rate.window / 1_000_000 / (rate.count * share))
        chance = self.following.world.chance
        self._audit_at = now + chance.expovariate(1 / mean)
        group, axis = chance.randrange(len(copy.groups)), self.following.layout.axis
        if self._effort is not None and len(self._effort) == len(copy.groups) and not self._effort[group]:
            return None
        offset = chance.randrange(0, axis.count, self._most)
        first = int(copy.first(self.following.moments.earliest(), [group])[0])
        return Unit(group, first + offset, min(self._most, axis.count - offset))

    def _unknown(self, copy: Copy) -> int:
        """How many units there are that were never asked for."""
        first, count = copy.first(self.following.moments.earliest()), self.following.layout.axis.count
        slots = (first[:, None] + np.arange(0, count, self._most)) & (self.following.layout.ring - 1)
        return int((np.take_along_axis(copy.checks.start, slots, axis=1) == NEVER).sum())

    async def look(self, copy: Copy) -> None:
        """Read what is doubtful, chosen and wanted; take back doubts whose cells were asked for since."""
        world, number = self.following.world, self.following.number
        following = self.following
        is_demand_due = self._uses_demand and world.clock.monotonic() - self._demand_at >= DEMAND_EVERY
        if not (following.has_doubts or following.has_mail):
            self._doubted = []
            if not (is_demand_due or following.has_choices):
                self._effort = None
                return

        async def read(tx: Transaction) -> Looked:
            popularity = await self._popularity.of_groups(tx, number, self.demand) if is_demand_due else None
            return Looked(
                await self._doubts.all(tx, number, DOUBTS),
                await self._doubts.suspects(tx, number, DOUBTS),
                dict(await self._choices.all(tx, number)),
                None if popularity is None else dict(popularity),
            )

        looked = await world.database.read(read)
        places = {group.n: at for at, group in enumerate(copy.groups)}
        over, past = self._take_doubts(copy, looked, places)
        self._effort = self._chosen(looked.choices, places)
        if looked.popularity is not None:
            self._demand_at = world.clock.monotonic()
            self._take_demand(copy, looked.popularity)
        if over or past:
            await world.database.transact(lambda tx: self._forget(tx, over, past))

    async def _forget(self, tx: Transaction, over: Collection[Doubt], past: Collection[Suspect]) -> None:
        number = self.following.number
        await self._doubts.clear(tx, number, over)
        await self.following.world.store.clear_suspects(tx, number, past)

    @property
    def _most(self) -> int:
        return largest(self.following.supplier).max_cells

    @property
    def _uses_demand(self) -> bool:
        return any(plan.hottest for plan in self.following.policy.tiers.values())

    def _wanted(self, now: int, groups: int) -> list[Wanted]:
        terms, wanted = self.following.terms, []
        for plan in self.following.policy.tiers.values():
            hot = self._hot.get(plan)
            if plan.hottest and (hot is None or len(hot) != groups):
                continue
            wanted.append(Wanted(plan, latest_tick(plan, now, terms.zone, self.following.jitter), hot))
        return wanted

    def _take_doubts(self, copy: Copy, looked: Looked, places: dict[int, int]) -> tuple[list[Doubt], list[Suspect]]:
        """Know what is doubtful; which doubts are over, and which suspect cells are of no item any more, or past."""
        count, first = self.following.layout.axis.count, copy.first(self.following.moments.earliest())
        over, past, found = list[Doubt](), list[Suspect](), list[Doubted]()
        for doubt in looked.doubts:
            group = None if doubt.group == EVERY else places.get(doubt.group)
            doubted = Doubted(group, doubt.first, doubt.cells, doubt.since)
            is_gone = group is None and doubt.group != EVERY
            if is_gone or settled(doubted, copy.checks, first, count):
                over.append(doubt)
            else:
                found.append(doubted)
        for mark in looked.suspects:
            name = copy.names.get(mark.item)
            group = None if name is None else places.get(copy.items[name].group)
            if group is None or mark.position < first[group]:
                past.append(mark)
            else:
                found.append(Doubted(group, mark.position, 1, mark.since))
        self._doubted = found
        return over, past

    def _chosen(self, choices: dict[int, Chosen], places: dict[int, int]) -> Ints | None:
        """How much each group is asked for: 0 not at all, 1 as planned, `BOOST` so many times as often."""
        chosen = {places[group]: choice.kind for group, choice in choices.items() if group in places}
        if not chosen:
            return None
        effort = np.ones(len(places), dtype=np.int64)
        for place, kind in chosen.items():
            effort[place] = BOOST if kind == "boost" else 0
        return effort

    def _take_demand(self, copy: Copy, popularity: dict[int, float]) -> None:
        weights: NDArray[np.float64] = np.array([popularity.get(group.n, 0.0) for group in copy.groups])
        if weights.size and weights.max() > 0:
            weights /= weights.max()
        for plan in self.following.policy.tiers.values():
            if plan.hottest:
                self._hot[plan] = hottest(self.demand, weights, plan.count, self._most, plan.hottest)
