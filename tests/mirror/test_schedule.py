"""What is due, and which of it comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import InvalidParams
from tieout.mirror.axis import days, one, position_of, slots
from tieout.mirror.calendar import Checks
from tieout.mirror.schedule import Doubted, Unit, Wanted, by_turns, doubted_units, due_units, latest_tick, tier

UTC_ZONE = ZoneInfo("UTC")
SECOND = 1_000_000
HOUR = 3_600 * SECOND
ZONES = st.sampled_from(sorted(available_timezones()))
MOMENTS = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants naive ones
    lambda naive: round(naive.replace(tzinfo=UTC).timestamp()) * SECOND
)


def micros(text, zone=UTC_ZONE):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * SECOND


@given(MOMENTS, st.floats(0, 0.999), st.integers(1, 86_400))
def test_a_period_ticks_once_in_every_period(now, jitter, every):
    """The latest tick is less than a period ago, and stays until the next one, exactly a period later."""
    plan = tier(days(10), every=every)
    tick = latest_tick(plan, now, UTC_ZONE, jitter)
    assert 0 <= now - tick < plan.every
    assert latest_tick(plan, tick + plan.every - 1, UTC_ZONE, jitter) == tick
    assert latest_tick(plan, tick + plan.every, UTC_ZONE, jitter) == tick + plan.every


@given(MOMENTS, ZONES)
def test_clock_times_tick_by_the_clock(now, zone):
    """The latest tick was at one of the times by the local clock, unless the clock was being set forward over it."""
    plan, local = tier(days(60), at="01:00 07:00 13:00 19:00"), ZoneInfo(zone)
    tick = latest_tick(plan, now, local, 0.0)
    assert 0 <= now - tick <= 31 * HOUR
    at = datetime.fromtimestamp(tick / SECOND, UTC).astimezone(local)
    an_hour_before = (at.astimezone(UTC) - timedelta(hours=1)).astimezone(local)
    was_set = an_hour_before.utcoffset() != at.utcoffset()
    assert was_set or (at.hour, at.minute, at.second) in {(hour, 0, 0) for hour in (1, 7, 13, 19)}


def test_a_time_that_comes_twice_ticks_once():
    """When the clocks are set back a tier ticks at the first 02:30 alone; when they are set forward, at the change."""
    berlin = ZoneInfo("Europe/Berlin")
    plan = tier(days(60), at="02:30")
    first = micros("2026-10-25T00:30:00")
    assert latest_tick(plan, first - 1, berlin, 0.0) == micros("2026-10-24T00:30:00")
    assert latest_tick(plan, first, berlin, 0.0) == first
    assert latest_tick(plan, first + 2 * HOUR, berlin, 0.0) == first
    assert latest_tick(plan, micros("2026-03-29T06:00:00"), berlin, 0.0) == micros("2026-03-29T01:30:00")


def test_suppliers_with_one_plan_tick_apart():
    """Jitter shifts the ticks of a supplier, always equally."""
    plan = tier(days(10), every="15m")
    now = micros("2026-11-22T12:07:00")
    ticks = {latest_tick(plan, now, UTC_ZONE, jitter / 10) for jitter in range(10)}
    assert len(ticks) == 10


@pytest.mark.parametrize(
    ("zone", "rollover"), [("UTC", 0), ("Asia/Shanghai", 6 * HOUR), ("America/New_York", 6 * HOUR)]
)
@given(now=MOMENTS)
def test_the_day_ends_by_the_clock_on_the_wall(zone, rollover, now):
    """Until the rollover by the local clock the first open day is yesterday, also when the clocks change."""
    local = datetime.fromtimestamp(now // SECOND, UTC).astimezone(ZoneInfo(zone))
    first = days(60).first(now, ZoneInfo(zone), rollover)
    is_before = (local.hour * 60 + local.minute) * 60 + local.second < rollover // SECOND
    assert first == position_of(local.date() - timedelta(days=is_before))


def test_other_axes():
    """Slots begin with the one that is running; one cell is always open."""
    assert slots("30m", "14d").first(90 * 60 * SECOND, UTC_ZONE) == 3
    assert slots("30m", "14d").count == 14 * 48
    assert one.first(1, UTC_ZONE) == 0


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_a_slot_begins_where_it_is_said_to(at):
    """To the microsecond: the moment that a slot is told to begin at is in that slot, and none before it is."""
    axis, begins = slots("1500ms", "15m"), at.replace(tzinfo=UTC)
    position = axis.position(begins)
    start = axis.start_of(position)
    assert start <= begins < axis.start_of(position + 1)
    assert axis.position(start) == position == axis.position(start - timedelta(microseconds=1)) + 1


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_moments_beyond_the_calendar_are_refused(text):
    """A moment whose slot no calendar can name is the caller's mistake, with its code."""
    with pytest.raises(InvalidParams, match="too far off"):
        slots("30m", "14d").read(text)


def checks(groups, ring=64):
    return Checks.empty(groups, ring, 100)


def due(wanted, checked, *, now, resting=0, limit=100, most=10, effort=None):
    first = np.full(len(checked.base), 100)
    return due_units(wanted, checked, first, most, now, resting, limit, effort=effort)


def note(checked, group, first, count, at):
    for position in range(first, first + count):
        checked.start[group, position % 64] = at


def test_everything_is_due_at_first_the_nearest_days_before():
    """Of groups that were never asked for the first days come first, and every cell is covered once."""
    wanted = [Wanted(tier(days(25), every="1h"), 5 * HOUR)]
    units = due(wanted, checks(2), now=5 * HOUR)
    assert units == [
        Unit(0, 100, 10), Unit(1, 100, 10), Unit(0, 110, 10), Unit(1, 110, 10), Unit(0, 120, 5), Unit(1, 120, 5)
    ]  # fmt: skip


def test_what_was_checked_since_the_tick_is_not_due():
    """A unit is due until all of its cells were checked after the latest tick, whoever has done that."""
    wanted = [Wanted(tier(days(10), every="1h"), 5 * HOUR)]
    checked = checks(3)
    note(checked, 0, 100, 10, 5 * HOUR)
    note(checked, 1, 100, 9, 6 * HOUR)
    note(checked, 2, 100, 10, 5 * HOUR - 1)
    assert due(wanted, checked, now=6 * HOUR) == [Unit(1, 100, 10), Unit(2, 100, 10)]


def test_tiers_that_do_not_fit_fall_behind_in_proportion():
    """What is overdue by more of its own period comes first."""
    hot, cold = tier(days(10), every="1h"), tier(days(20), every="10h")
    wanted = [Wanted(hot, 99 * HOUR), Wanted(cold, 90 * HOUR)]
    checked = checks(2)
    note(checked, 0, 100, 10, 97 * HOUR)
    note(checked, 0, 110, 10, 60 * HOUR)
    note(checked, 1, 100, 20, 100 * HOUR)
    note(checked, 1, 100, 10, 96 * HOUR)
    assert due(wanted, checked, now=100 * HOUR) == [Unit(1, 100, 10), Unit(0, 110, 10), Unit(0, 100, 10)]


def test_a_supplier_that_wants_rest():
    """A unit is left alone for as long as its supplier wants, even when it is due."""
    wanted = [Wanted(tier(days(10), every="1h"), 2 * HOUR)]
    checked = checks(1)
    note(checked, 0, 100, 10, 2 * HOUR - 60 * SECOND)
    assert due(wanted, checked, now=2 * HOUR, resting=HOUR) == []
    assert due(wanted, checked, now=4 * HOUR, resting=HOUR) == [Unit(0, 100, 10)]


def test_no_more_than_asked_for():
    """The plan gives as many units as there is room for."""
    wanted = [Wanted(tier(days(60), every="1h"), HOUR)]
    assert len(due(wanted, checks(50), now=HOUR, limit=7)) == 7


def test_groups_that_are_not_asked_for_leave_their_places_to_others():
    """However many of them are doubtful: those that may be asked for are found behind them."""
    doubted = [Doubted(group, 100, 60, 5 * HOUR) for group in range(60)]
    effort = np.array([0] * 50 + [1] * 10)
    first = np.full(60, 100, dtype=np.int64)
    asked = {"now": 6 * HOUR, "resting": 0, "limit": 20, "effort": effort}
    units = doubted_units(doubted, checks(60), first, 60, 10, **asked)
    assert len(units) == 20 and min(unit.group for unit in units) == 50
    units = doubted_units([Doubted(None, 100, 60, 5 * HOUR)], checks(60), first, 60, 10, **asked)
    assert len(units) == 20 and min(unit.group for unit in units) == 50


def test_turns_that_begin_anew_favour_nobody():
    """Doubtful units have their share of the queries, however few are asked for before it is planned anew."""
    doubtful, planned = [Unit(n, 0, 10) for n in range(50)], [Unit(n, 10, 10) for n in range(50)]
    for share in (0.02, 0.5):
        firsts = [by_turns(doubtful, planned, share, Random(seed))[0] for seed in range(2_000)]
        assert abs(firsts.count(doubtful[0]) / 2_000 - share) < 0.04
        assert firsts.count(doubtful[0]) + firsts.count(planned[0]) == 2_000


def test_turns_leave_nothing_out():
    """Every unit comes once, and those of a kind in their order."""
    doubtful, planned = [Unit(n, 0, 10) for n in range(30)], [Unit(n, 0, 10) for n in range(20, 90)]
    found = by_turns(doubtful, planned, 0.5, Random(1))
    assert sorted(unit.group for unit in found) == list(range(90))
    assert [unit for unit in found if unit.group < 20] == doubtful[:20]
    assert [unit for unit in found if unit.group >= 30] == planned[10:]
