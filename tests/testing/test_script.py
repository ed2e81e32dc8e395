"""Where what a test has planned and what happens do not fit, it is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tieout
from tests.testing.redeem import ORDER, Prize, Shop, redeem
from tieout import NotFound, Succeeded
from tieout.testing import Always, Lost, Play, PlayFailed, Slow

PRIZE = Succeeded(Prize("A1"))


async def test_an_answer_left_over_fails() -> None:
    """What a script still holds when the play ends fails the test, by name."""
    run = redeem()
    run.script("issue", PRIZE, Lost())
    await run.start(**ORDER)
    with pytest.raises(PlayFailed, match=r"issue was not used up, left are: Lost"):
        run.check()


async def test_a_script_that_is_used_up_fails() -> None:
    """One question more than there are answers fails at once and is no answer; so it does when asked for again."""
    run = redeem()
    run.script("issue", Lost())
    for _ in range(2):
        with pytest.raises(PlayFailed, match=r"used up: all 1 answers were given, and here is one more query"):
            await run.start(**ORDER)
    assert run.now == 7.0


async def test_with_checks_and_closes() -> None:
    """Used in a `with`, a play is checked at its end, and closed; what happened can still be read."""
    with pytest.raises(PlayFailed, match="not used up"), redeem() as run:
        run.script("issue", PRIZE)
    with redeem() as run:
        await run.start(**ORDER)
    assert "completed (final)" in run.timeline()
    with pytest.raises(tieout.AppClosed):
        await run.fetch("SELECT 1")
    run.close()


async def test_an_error_in_a_with_is_not_hidden() -> None:
    """When the test fails by itself, that is what is shown, and not the script that is left over."""
    run = redeem()
    run.script("issue", PRIZE)
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("say", "complaint"),
    [
        (lambda run: run.script("isue", PRIZE), "no call 'isue' to script; the calls are: issue"),
        (lambda run: run.script("issue"), "not both"),
        (lambda run: run.script("issue", PRIZE, send=[PRIZE]), "not both"),
        (lambda run: (run.script("issue", PRIZE), run.script("issue", send=[PRIZE])), "mixes"),
        (lambda run: run.script("issue", "A1"), "'A1' is no answer"),
        (lambda run: run.script("issue", Slow(1, "A1")), "is no answer"),
        (lambda run: run.script("issue", Always(PRIZE), PRIZE), "behind an Always"),
        (lambda run: run.crash_at("commit"), "no point"),
        (lambda run: run.crash_at("commit:0"), "no point"),
        (lambda run: run.crash_at("before:1"), "no point"),
    ],
)
def test_mistakes_of_a_test_are_told_at_once(say: Callable[[Play[Shop]], object], complaint: str) -> None:
    """A step that does not exist, an answer that is none, a point that cannot be: said where they are written."""
    run = redeem()
    with pytest.raises(PlayFailed, match=complaint):
        say(run)
    run.close()


async def test_a_send_cannot_answer_not_found() -> None:
    """A script whose order is not what happens is found where it goes wrong."""
    run = redeem()
    run.script("issue", NotFound(), PRIZE)
    with pytest.raises(PlayFailed, match="answers a send with NotFound"):
        await run.start(**ORDER)
