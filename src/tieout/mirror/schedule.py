"""Which units are asked for next: decided from when each cell was checked last, so that nothing else need be kept.

A tier has ticks. A unit is due when some of its cells were last checked before the latest tick: so a tick that comes
while the units of the one before are still being asked for adds no second round, a crash forgets nothing, and what
another tier, a reader or an order has refreshed meanwhile is not asked for again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.config import microseconds
from tieout.errors import DefinitionError
from tieout.mirror.axis import Axis
from tieout.mirror.calendar import NEVER, Checks

DAY = 86_400_000_000
"""Microseconds of a day, as far as a plan's period is concerned."""

SHORTEST_EVERY = 1_000_000
"""Microseconds: a tier that ticks more often would only wait for its budget."""

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class Tier(msgspec.Struct, frozen=True):
    """`count` cells from the first open one on, asked for at every tick.

    With `hottest` only the units of which most is expected: so many, or below one that share of them. It ticks each
    `every` microseconds, or at the clock times `at` (minutes of the day) of the supplier's zone.
    """

    count: int
    every: int
    at: tuple[int, ...] = ()
    hottest: float = 0.0


class Tiers(msgspec.Struct, frozen=True):
    """A policy: any number of tiers, each with its own plan."""

    tiers: dict[str, Tier]


Policy: TypeAlias = Tiers


def tier(part: Axis, *, every: float | str | None = None, at: str | None = None, hottest: float = 0.0) -> Tier:
    """The first cells of an axis, such as `days(10)`, `every="15m"` or `at="01:00 13:00"` in the supplier's zone.

    `hottest=200` asks only for the 200 units that are predicted to be wanted most, `hottest=0.05` for that share.
    """
    if not 0 <= hottest < 1 << 31:
        raise DefinitionError(f"hottest={hottest!r} is neither a number of units nor a share of them")
    if (every is None) == (at is None):
        raise DefinitionError("a tier has either every= or at=")
    if at is not None:
        times = _clock_times(at)
        return Tier(part.count, DAY // len(times), times, hottest)
    period = microseconds(every or 0)
    if period < SHORTEST_EVERY:
        raise DefinitionError(f"every={every!r} is too often: a second at least")
    return Tier(part.count, period, hottest=hottest)


def tiers(**named: Tier) -> Tiers:
    """A policy of these tiers; when the budget is too small for all, each falls behind in proportion."""
    if not named or not all(isinstance(one, Tier) for one in named.values()):
        raise DefinitionError("tiers() takes name=tier(...), at least one")
    return Tiers(dict(named))


def latest_tick(plan: Tier, now: int, zone: ZoneInfo, jitter: float) -> int:
    """When a tier ticked last, in microseconds; `jitter`, from 0 to 1, keeps suppliers with one plan apart.

    By the clock it ticks up to a tenth of its period late, always equally; a time that a change of clocks leaves out
    ticks at the change, and one that comes twice ticks once.
    """
    if not plan.at:
        offset = int(plan.every * jitter)
        return (now - offset) // plan.every * plan.every + offset
    late = int(plan.every * jitter / 10)
    today = datetime.fromtimestamp((now - late) // 1_000_000, UTC).astimezone(zone).date()
    ticks = [_at(day, minute, zone) for day in (today - timedelta(days=1), today) for minute in plan.at]
    return max(tick for tick in ticks if tick + late <= now) + late


class Unit(msgspec.Struct, frozen=True):
    """What one query returns: `cells` cells of a group from position `first` on."""

    group: int
    first: int
    cells: int


class Wanted(NamedTuple):
    """A tier as it stands now, with its latest tick; `hot` are its units, by group and window, where not all are."""

    tier: Tier
    tick: int
    hot: NDArray[np.bool_] | None = None


class Doubted(NamedTuple):
    """Cells of a group, or of all of them (None), that have to be asked for since a moment."""

    group: int | None
    first: int
    cells: int
    since: int


def doubted_units(
    doubted: Sequence[Doubted],
    checks: Checks,
    first: NDArray[np.int64],
    count: int,
    most: int,
    *,
    now: int,
    resting: int,
    limit: int,
    effort: NDArray[np.int64] | None = None,
) -> list[Unit]:
    """Units with cells that were not asked for since they are doubtful, in the order of the doubts, at most `limit`.

    Of each group only `count` cells from its first open one on can be asked for; of one with an effort of 0 none.
    """
    found: dict[Unit, None] = {}
    asked = np.arange(len(first)) if effort is None else np.flatnonzero(effort)
    for doubt in doubted:
        if len(found) >= limit:
            break
        groups = asked if doubt.group is None else asked[asked == doubt.group]
        for offset in range(0, count, most):
            cells, begins = min(most, count - offset), first[groups] + offset
            oldest, latest = _checked(checks, begins, cells, groups)
            touches = (begins < doubt.first + doubt.cells) & (begins + cells > doubt.first)
            is_due = touches & (oldest <= doubt.since) & (latest <= now - resting)
            for at in np.flatnonzero(is_due):
                found[Unit(int(groups[at]), int(begins[at]), cells)] = None
    return list(found)[:limit]


def settled(doubt: Doubted, checks: Checks, first: NDArray[np.int64], count: int) -> bool:
    """Whether all cells of a doubt that are still open were asked for since."""
    groups = np.arange(len(first)) if doubt.group is None else np.array([doubt.group])
    at = first[groups][:, None] + np.arange(count)
    times = np.take_along_axis(checks.start[groups], at & (checks.start.shape[1] - 1), axis=1)
    inside = (at >= doubt.first) & (at < doubt.first + doubt.cells)
    return not bool((inside & (times <= doubt.since)).any())


def by_turns(one: Sequence[Unit], other: Sequence[Unit], share: float, chance: Random) -> list[Unit]:
    """Both in their order, each unit once; the next is of `one` by `share`, so that neither keeps the other waiting.

    Each turn is drawn by chance: however often it is planned anew, those that come first have no more than their share.
    """
    ones, others, taken = deque(one), deque(other), dict[Unit, None]()
    while ones and others:
        taken[(ones if chance.random() < share else others).popleft()] = None
    return list(dict.fromkeys([*taken, *ones, *others]))


def never_asked(unit: Unit, checks: Checks) -> bool:
    """Whether no cell of a unit was ever asked for."""
    _, latest = _checked(checks, np.array([unit.first]), unit.cells, np.array([unit.group]))
    return int(latest[0]) == NEVER


def due_units(
    wanted: Sequence[Wanted],
    checks: Checks,
    first: NDArray[np.int64],
    most: int,
    now: int,
    resting: int,
    limit: int,
    *,
    effort: NDArray[np.int64] | None = None,
) -> list[Unit]:
    """Units that are due, the most overdue first, at most `limit`.

    `first` is each group's first open position; a query takes `most` cells; a unit that was asked for in the last
    `resting` microseconds is left alone. How overdue a unit is counts in periods of its tier, so that tiers which do
    not fit the budget fall behind in proportion. What was never asked for comes before all, the nearest cells first.
    `effort` is how many times as often each group is asked for, 0 being not at all.
    """
    found = []
    everyone = np.arange(len(first))
    times = np.ones(len(first), dtype=np.int64) if effort is None else effort
    for plan, tick, hot in wanted:
        # What is asked for more often ticks more often too.
        ticks = np.where(times > 1, np.maximum(tick, now - plan.every // np.maximum(times, 1)), tick)
        for number, offset in enumerate(range(0, plan.count, most)):
            count = min(most, plan.count - offset)
            oldest, latest = _checked(checks, first + offset, count, everyone)
            is_due = (times > 0) & (oldest < ticks) & (latest <= now - resting)
            groups = np.flatnonzero(is_due if hot is None else is_due & hot[:, number])
            late = times[groups] * (now - oldest[groups]) / plan.every
            overdue = np.where(oldest[groups] == NEVER, np.inf, late)
            found.append((overdue, np.full(len(groups), offset), groups, np.full(len(groups), count)))
    if not found:
        return []
    overdue, offsets, groups, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((groups, offsets, -overdue))
    groups, offsets, counts = groups[order], offsets[order], counts[order]
    units: dict[Unit, None] = {}
    for unit in map(Unit, groups.tolist(), (first[groups] + offsets).tolist(), counts.tolist()):
        if len(units) == limit:
            break
        units[unit] = None
    return list(units)


def _checked(
    checks: Checks, first: NDArray[np.int64], count: int, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When the cells of a window of each group were checked: the oldest and the latest start."""
    ring = checks.start.shape[1]
    slots = (first[:, None] + np.arange(count)) & (ring - 1)
    times = checks.start[groups[:, None], slots]
    return times.min(axis=1), times.max(axis=1)


def _clock_times(text: str) -> tuple[int, ...]:
    times = [_TIME.fullmatch(word) for word in text.split()]
    if not times or None in times:
        raise DefinitionError(f"at={text!r}: write times as 07:00, apart by spaces")
    return tuple(sorted({int(match[1]) * 60 + int(match[2]) for match in times if match}))


def _at(day: date, minute: int, zone: ZoneInfo) -> int:
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    return round(local.timestamp()) * 1_000_000
