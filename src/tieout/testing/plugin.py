"""The pytest plugin: a fixture that makes plays, and what a failed test shows of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from tieout.process.process import Process
from tieout.testing.play import Play, play, watchers

D = TypeVar("D")

_PLAYS = pytest.StashKey[list[Play[Any]]]()
_TO_CHECK = pytest.StashKey[list[Play[Any]]]()


class MakePlay(Protocol):
    """`tieout.testing.play`, and the play is checked and closed when the test ends."""

    def __call__(self, process_type: type[Process[D]], *others: type[Process[Any]], **options: Any) -> Play[D]: ...


@pytest.fixture
def tieout_play(request: pytest.FixtureRequest) -> Iterator[MakePlay]:
    """Make plays as `tieout.testing.play` does; they are checked and closed when the test ends."""
    made: list[Play[Any]] = request.node.stash.setdefault(_TO_CHECK, [])

    def make(process_type: type[Process[D]], *others: type[Process[Any]], **options: Any) -> Play[D]:
        run = play(process_type, *others, **options)
        if run not in made:
            made.append(run)
        return run

    yield make
    for run in made:
        run.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep every play that is made while a test is set up or run."""
    made = item.stash[_PLAYS] = []
    watchers.append(made.append)
    try:
        return (yield)
    finally:
        watchers.remove(made.append)
        del item.stash[_PLAYS]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check the plays that were made in the test itself, and by `tieout_play`, when it has passed."""
    before = len(item.stash[_PLAYS])
    result = yield
    in_test = item.stash[_PLAYS][before:]
    for run in {id(run): run for run in [*item.stash.get(_TO_CHECK, []), *in_test]}.values():
        run.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the plays of a test that fails."""
    report = yield
    if report.when == "call" and report.failed:
        for run in item.stash.get(_PLAYS, []):
            report.sections.append((f"tieout: {run.process_type.__name__}", run.timeline()))
    return report
