"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import pytest
import tieout
from tests.testing.redeem import ORDER, SCHEMA, Prize, Redeem, Shop
from tieout import NotFound, Succeeded
from tieout.testing import Lost, finish, play

PRIZE = Succeeded(Prize("A1"))
"""
OPTIONS = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
ROOT = Path(__file__).parent.parent.parent


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    """A user's test file, run with nothing but the plugin that comes with the package."""
    pytester.makepyfile(HEAD + tests)
    pytester.syspathinsert(ROOT)
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", *OPTIONS)


def test_a_users_file_runs_as_it_is(pytester: pytest.Pytester) -> None:
    """The fixture and the function work in async and in plain tests, beside a fixture of the user's own."""
    result = run(
        pytester,
        """
@pytest.fixture
def run(tieout_play):
    return tieout_play(Redeem, deps=Shop(), schema=SCHEMA)

async def test_async(run):
    run.script("issue", Lost(), NotFound(), PRIZE)
    p = await run.start(**ORDER)
    assert p.state == "completed" and len({s.key for s in run.sent("issue")}) == 1

def test_plain(tieout_play):
    run = tieout_play(Redeem, deps=Shop(), schema=SCHEMA)
    assert finish(run.start(**ORDER)).state == "completed"

async def test_without_the_fixture():
    run = play(Redeem, deps=Shop(), schema=SCHEMA)
    assert (await run.start(**ORDER)).state == "completed"
""",
    )
    result.assert_outcomes(passed=3)


def test_a_failing_test_shows_the_timeline(pytester: pytest.Pytester) -> None:
    """Below the failure stands what happened in each play of the test, in order of time."""
    result = run(
        pytester,
        """
async def test_fixture(tieout_play):
    run = tieout_play(Redeem, deps=Shop(), schema=SCHEMA)
    run.script("issue", Lost(), PRIZE)
    p = await run.start(**ORDER)
    assert p.state == "refunded"

async def test_closed():
    with play(Redeem, deps=Shop(), schema=SCHEMA) as run:
        p = await run.start(**ORDER)
        assert p.state == "refunded"
""",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- tieout: Redeem -*",
            "*0.000 s  redeem 'r' accepted, at issue",
            "*0.000 s  send issue, try 1, *: the answer is lost",
            "*7.000 s  query issue, try 1, *: Succeeded(value=Prize(code='A1'))",
            "*7.000 s  redeem 'r' of u moves to completed (query, by query)",
            "redeem 'r' of u: completed (final), result Prize(code='A1')",
            "*- tieout: Redeem -*",
            "redeem 'r' of u: completed (final), result Prize(code='mug-1')",
        ]
    )


def test_what_is_left_over_fails_the_test(pytester: pytest.Pytester) -> None:
    """Answers that nobody asked for and points never reached fail the test itself, however the play was made."""
    result = run(
        pytester,
        """
async def test_fixture(tieout_play):
    run = tieout_play(Redeem, deps=Shop(), schema=SCHEMA)
    run.script("issue", PRIZE, Lost())
    await run.start(**ORDER)

async def test_function():
    run = play(Redeem, deps=Shop(), schema=SCHEMA)
    run.crash_at("query:7")
    await run.start(**ORDER)

async def test_told_before():
    run = play(Redeem, deps=Shop(), schema=SCHEMA)
    run.crash_at("query:7")
    with pytest.raises(AssertionError):
        run.check()
""",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*PlayFailed: the script of issue was not used up, left are: Lost(answer=None)"])
    result.stdout.fnmatch_lines(["*PlayFailed: query:7 was never reached; the last of its kind: none"])


def test_a_test_that_fails_by_itself_is_told_so(pytester: pytest.Pytester) -> None:
    """A test's own failure is not covered by what its script has left over."""
    result = run(
        pytester,
        """
async def test_itself(tieout_play):
    tieout_play(Redeem, deps=Shop(), schema=SCHEMA).script("issue", PRIZE)
    assert 1 == 2
""",
    )
    result.assert_outcomes(failed=1)
    assert "not used up" not in result.stdout.str()


def test_plays_of_the_fixture_are_closed(pytester: pytest.Pytester) -> None:
    """What the fixture made is given back when the test ends, passed or failed."""
    result = run(
        pytester,
        """
made = []

async def test_one(tieout_play):
    made.append(tieout_play(Redeem, deps=Shop(), schema=SCHEMA))
    assert False

async def test_two():
    with pytest.raises(tieout.AppClosed):
        await made[0].fetch("SELECT 1")
""",
    )
    result.assert_outcomes(passed=1, failed=1)
