"""Circuit breakers, by a clock that is an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.coordination.breaker import FIRST_PAUSE, FULL, LONGEST_PAUSE, THRESHOLD, Breakers

LANE = "prizes"


def fail(breakers, count, now=0.0, lane=LANE):
    for _ in range(count):
        breakers.record(lane, now, answered=False)


@pytest.fixture
def opened():
    breakers = Breakers()
    fail(breakers, THRESHOLD)
    return breakers


def test_a_lane_is_not_held_back_at_first():
    """A lane that nobody knows gets its full share."""
    assert Breakers().share(LANE, 0.0, 7) == 7


def test_few_failures_do_not_open_a_breaker():
    """One less than the threshold, with an answer between, is an ordinary day."""
    breakers = Breakers()
    for _ in range(3):
        fail(breakers, THRESHOLD - 1)
        breakers.record(LANE, 0.0, answered=True)
    assert not breakers.is_open(LANE, 0.0)


def test_failures_in_a_row_open_it(opened):
    """Nothing is sent to a downstream that has not answered for so often."""
    assert opened.is_open(LANE, 0.0)
    assert opened.share(LANE, 0.0, 100) == 0


def test_other_lanes_are_not_held_back(opened):
    """A lane is one downstream; its failures are not the others'."""
    assert opened.share("another", 0.0, 100) == 100


def test_after_the_pause_one_try_is_let_through(opened):
    """A trial is one process, however many are due."""
    assert opened.share(LANE, FIRST_PAUSE - 0.001, 100) == 0
    assert opened.share(LANE, FIRST_PAUSE, 100) == 1


def test_a_failed_trial_doubles_the_pause(opened):
    """The pause grows with each failed trial, up to its limit."""
    now, pauses = 0.0, []
    for _ in range(10):
        began = now
        while opened.is_open(LANE, now):
            now += 0.25
        pauses.append(now - began)
        fail(opened, 1, now)
    assert pauses == [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(10)]


def test_failures_of_what_was_under_way_do_not_lengthen_the_pause(opened):
    """Tries that began before it opened say nothing new."""
    fail(opened, 500, FIRST_PAUSE / 2)
    assert not opened.is_open(LANE, FIRST_PAUSE)


def test_an_answer_closes_it_and_the_share_grows(opened):
    """A downstream that is back is not buried: its share doubles with every answer, until it is full."""
    shares = []
    for _ in range(8):
        shares.append(opened.share(LANE, FIRST_PAUSE, 1_000))
        opened.record(LANE, FIRST_PAUSE, answered=True)
    assert shares == [1, 2, 4, 8, 16, 32, 1_000, 1_000]
    assert FULL == 64


def test_one_failure_after_a_passed_trial_does_not_open_it(opened):
    """A downstream that answers most of the time is worked with."""
    opened.record(LANE, FIRST_PAUSE, answered=True)
    fail(opened, THRESHOLD - 1, FIRST_PAUSE)
    assert not opened.is_open(LANE, FIRST_PAUSE)
    fail(opened, 1, FIRST_PAUSE)
    assert opened.is_open(LANE, FIRST_PAUSE)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200), st.integers(1, 500))
def test_a_breaker_never_stays_open_for_long(events, full):
    """Whatever happens, a share is never more than full, and after the longest pause at least one try goes through."""
    breakers, now = Breakers(), 0.0
    for answered, passed in events:
        now += passed
        breakers.record(LANE, now, answered=answered)
        assert 0 <= breakers.share(LANE, now, full) <= full
    assert breakers.share(LANE, now + LONGEST_PAUSE, full) >= 1
