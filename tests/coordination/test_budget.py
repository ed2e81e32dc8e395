"""No window ever holds more queries than its limit, and a reserve is there for whom it was kept."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.coordination.budget import Budget, Rate, rate, shares
from tieout.database import connect
from tieout.errors import ConfigError


class RecordingClock:
    """Sleeps at once, and says how long it would have slept."""

    def __init__(self):
        self.slept = []

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        self.slept.append(seconds)


class LateClock(RecordingClock):
    """Goes on by so many seconds more than it was asked to sleep, once."""

    def __init__(self, late):
        super().__init__()
        self.late = late
        self.now = 0.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        await super().sleep(seconds)
        self.now += seconds + self.late
        self.late = 0.0


def budget(database, clock=None, jitter=0.0, **classes):
    classes = classes or {"sync": Rate(60, 60_000_000)}
    return Budget(database, clock or RecordingClock(), "supplier", classes, jitter=jitter)


@pytest.mark.parametrize(
    ("text", "count", "seconds"), [("60/min", 60, 60), ("5/s", 5, 1), ("100/10s", 100, 10), ("9000 / d", 9000, 86_400)]
)
def test_rates(text, count, seconds):
    """A rate is a count in a window."""
    assert rate(text) == Rate(count, seconds * 1_000_000)


@pytest.mark.parametrize("text", ["", "60", "0/s", "60/", "60/0s", "-1/s", "1.5/s", "60/fortnight"])
def test_what_is_no_rate(text):
    """Anything else is refused."""
    with pytest.raises(ConfigError):
        rate(text)


@given(st.integers(4, 10_000), st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_shares_are_the_whole(count, order, browse):
    """The tokens of all classes of a window are as many as the whole has, and none has less than one."""
    parts = shares(Rate(count, 60_000_000), {"order": order, "browse": browse}, "sync")
    assert sum(part.count for part in parts.values()) == count
    assert all(part.count >= 1 and part.window == 60_000_000 for part in parts.values())


@pytest.mark.parametrize("reserve", [{"order": 1.0}, {"order": 0.0}, {"order": 0.7, "browse": 0.5}])
def test_reserves_that_leave_nothing(reserve):
    """Reserves that are no shares, or leave nothing for the rest, are refused."""
    with pytest.raises(ConfigError):
        shares(Rate(10, 1_000_000), reserve, "sync")


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 10_000_000))
def test_no_window_holds_more_than_the_limit(first, second, window):
    """Tokens of two classes at their distances, as fast as they come: no half-open window holds more than both."""
    starts = []
    for count in (first, second):
        interval = -(-window // count)
        starts += [number * interval for number in range(2 * count)]
    starts.sort()
    for at, start in enumerate(starts):
        inside = sum(start <= other < start + window for other in starts[at:])
        assert inside <= first + second


@given(st.integers(1, 60), st.integers(1_000, 1_000_000), st.floats(0.01, 0.5), st.randoms(use_true_random=False))
def test_no_window_holds_more_where_queries_come_late(count, window, share, chance):
    """Nor when each of them arrives later than its token was meant for, by anything up to the jitter."""
    jitter = window * share / 1_000_000
    ours = Budget(connect("sqlite://"), RecordingClock(), "supplier", {"sync": Rate(count, window)}, jitter=jitter)
    moved = sorted(at * ours.interval("sync") + chance.random() * jitter * 1_000_000 for at in range(3 * count))
    for at, start in enumerate(moved):
        assert sum(other < start + window for other in moved[at:]) <= count


async def test_several_tokens_are_taken_at_once(database):
    """They are an interval apart, as if they had been taken one by one, and whoever comes next gets the one behind."""
    clock = RecordingClock()
    ours = budget(database, clock)
    await ours.open()
    tokens = await ours.reserve("sync", 5.0, 3)
    assert [round(token.at) for token in tokens] == [0, 1, 2]
    assert await ours.take("sync", 5.0)
    assert 2 < clock.slept[-1] <= 3
    assert await ours.reserve("sync", 1.0, 3) == []


async def test_a_token_that_is_too_late_is_lost(database):
    """What would be sent too long after its token's time is not; within the patience another one is taken."""
    ours = budget(database, LateClock(3.0), jitter=2.0)
    await ours.open()
    first, second, third = await ours.reserve("sync", 5.0, 3)
    assert await ours.use(first)
    assert not await ours.use(second)
    assert not await ours.use(third)
    other = budget(database, LateClock(3.0), jitter=2.0)
    assert await other.take("sync", 20.0)
    late = budget(database, LateClock(60.0), jitter=2.0)
    assert not await late.take("sync", 20.0)


async def test_a_pause_makes_tokens_void_that_were_taken_ahead(database):
    """Those of the time of the pause are not used; those behind it are."""
    ours = budget(database, LateClock(0.0))
    await ours.open()
    tokens = await ours.reserve("sync", 5.0, 4)
    await ours.pause(2.5)
    assert [await ours.use(token) for token in tokens] == [False, False, False, True]


async def test_tokens_come_one_by_one(database):
    """Of tokens taken at the same time each comes an interval after the one before."""
    clock = RecordingClock()
    ours = budget(database, clock)
    await ours.open()
    await ours.open()
    assert all(await asyncio.gather(*(ours.take("sync", 60.0) for _ in range(10))))
    for number, slept in enumerate(sorted(clock.slept), 1):
        assert number - 5 < slept <= number


async def test_a_token_too_far_off_is_not_taken(database):
    """Who will not wait so long gets none, and takes none away from whom it would have been."""
    ours = budget(database)
    await ours.open()
    assert await ours.take("sync", 0.0)
    assert not await ours.take("sync", 0.3)
    assert not await ours.take("sync", 0.3)
    clock = RecordingClock()
    patient = budget(database, clock)
    assert await patient.take("sync", 5.0)
    assert clock.slept[0] <= 1.0


async def test_a_reserve_is_there_when_the_rest_is_used_up(database):
    """A class takes from its own tokens, whatever the others have taken."""
    ours = budget(database, order=Rate(12, 60_000_000), sync=Rate(48, 60_000_000))
    await ours.open()
    assert all([await ours.take("sync", 600.0) for _ in range(20)])
    assert await ours.take("order", 0.0)


async def test_a_pause_is_for_everybody(database):
    """After the other side has asked for a pause no node gets a token; a shorter pause does not end a longer one."""
    ours, theirs = budget(database), budget(database)
    await ours.open()
    await ours.pause(60.0)
    await ours.pause(1.0)
    assert not await theirs.take("sync", 30.0)
    assert await theirs.take("sync", 61.0)


async def test_a_budget_that_was_never_opened_gives_nothing(database):
    """Without its row there is no token: nothing is sent by mistake."""
    assert not await budget(database).take("sync", 60.0)
