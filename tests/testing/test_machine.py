"""Calls at a time, timers, children and cancelling in virtual time."""

from __future__ import annotations

import pytest

from tests.testing.trips import Letter, Trip
from tieout import Failed, Succeeded
from tieout.testing import Lost, Play, PlayFailed, Slow, play

WEEK = 7 * 24 * 3_600.0


def trip() -> Play[None]:
    return play(Trip, Letter)


async def test_a_week_and_children() -> None:
    """Calls run beside each other, a timer rings when its time has come, and children run to their end."""
    run = trip()
    run.script("fly", Slow(0.5, Succeeded("two seats")))
    p = await run.start(number="t", travellers=2, within="8d")
    assert (p.state, p.result) == ("done", "sent 2")
    assert WEEK <= run.now < WEEK + 10
    assert {one.at for one in run.sent("fly") + run.sent("trip.send")} == {0.0}
    assert [one.step for one in run.sent()] == ["fly", "trip.send", "letter.send", "letter.send"]


async def test_children_are_scripted_under_their_type() -> None:
    """A step's name that several types have is written with its type."""
    run = trip()
    run.script("letter.send", Failed("no stamp"), Lost(), Succeeded("late"))
    p = await run.start(number="t", travellers=2, within="8d")
    assert p.result == "lost 1, sent 1"
    with pytest.raises(PlayFailed, match=r"the calls are: fly, letter\.send, trip\.send"):
        run.script("send", Lost())


async def test_an_operator_acts_in_virtual_time() -> None:
    """`do` lets anybody use the App: a wish to cancel is followed, the timer is not waited for."""
    run = trip()
    p = await run.start(number="t", travellers=1, until="accepted")
    await run.advance("1d")
    await run.do(lambda app: app.cancel(p.id, actor="ann", reason="rain"))
    await run.advance("1m")
    assert (await run.get(p.id)).result == "rain at rest"


async def test_a_crash_anywhere_in_a_machine() -> None:
    """Joins, timers and children end the same wherever a worker dies."""
    points = await trip().crash_everywhere(lambda run: run.start(number="t", travellers=2, within="9d"))
    assert {"call:4", "after-call:3"} <= set(points)


async def test_a_machine_is_idempotent() -> None:
    """A request that comes again at any moment of a week starts nothing anew."""
    points = await trip().assert_idempotent(Trip(number="t", travellers=1))
    assert "after-call:3" in points
