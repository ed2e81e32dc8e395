"""Several things done at a time, of which any may fail."""

from __future__ import annotations

import asyncio

import pytest

from tieout.errors import DatabaseUnavailable
from tieout.recon.offline import together


async def given(value):
    return value


async def test_all_results_come_back():
    """Each result stands where its work stood."""
    assert await together(given(1), given(2), given(3)) == [1, 2, 3]


@pytest.mark.parametrize("place", [0, 1])
async def test_a_failure_stops_the_other_and_is_raised_as_it_is(place):
    """What failed is raised itself, and not in a group; the other has been stopped by then."""
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def wait():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def fail():
        await begun.wait()
        raise DatabaseUnavailable("gone")

    works = [wait(), fail()] if place else [fail(), wait()]
    with pytest.raises(DatabaseUnavailable, match="gone"):
        await together(*works)
    assert stopped.is_set()


async def test_being_cancelled_cancels_both():
    """Whoever stops waiting leaves nothing behind that goes on."""
    begun, stopped = asyncio.Barrier(3), []

    async def wait(name):
        await begun.wait()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    task = asyncio.create_task(together(wait(1), wait(2)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(stopped) == [1, 2]
