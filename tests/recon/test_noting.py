"""Breaks on their way into the store: many at a time, none lost, and a failure is told."""

from __future__ import annotations

import asyncio

import pytest

import tieout
from tests.recon.conftest import DAY
from tieout.errors import DatabaseUnavailable
from tieout.recon import store
from tieout.recon.noting import Noting
from tieout.recon.store import NewBreak, Run, written


def breaks(*numbers: int) -> list:
    return [written("r", NewBreak((str(n),), "missing", {"n": n})) for n in numbers]


class Kept:
    """What was stored, transaction by transaction; the first one may fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.parts: list = []
        self._fails = fails

    async def __call__(self, found: list) -> None:
        await asyncio.sleep(0)
        fails, self._fails = self._fails, False
        if fails:
            raise DatabaseUnavailable("gone")
        self.parts.append(found)


async def test_breaks_are_stored_many_at_a_time_and_none_is_lost() -> None:
    """Nothing is stored before there is enough of it, by however many it is added; the rest is when it is left."""
    kept, all_of_them = Kept(), breaks(*range(10))
    async with Noting(kept, least=4) as noting:
        await asyncio.gather(*(noting.add([one]) for one in all_of_them[:3]))
        assert kept.parts == []
        await asyncio.gather(*(noting.add([one]) for one in all_of_them[3:]))
    assert [one for part in kept.parts for one in part] == all_of_them
    assert min(len(part) for part in kept.parts[:-1]) >= 4


async def test_whoever_finds_breaks_waits_only_once_very_many_are_held() -> None:
    """While some are being stored others are held, and stored together; a store that is slow holds up who adds."""
    kept, slow = Kept(), asyncio.Event()

    async def note(found: list) -> None:
        await slow.wait()
        await kept(found)

    async with Noting(note, least=2) as noting:
        await noting.add(breaks(1, 2))
        early = asyncio.create_task(noting.add(breaks(*range(3, 10))))
        late = asyncio.create_task(noting.add(breaks(10)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert (early.done(), late.done()) == (True, False)
        slow.set()
        await late
    assert [len(part) for part in kept.parts] == [2, 8]


async def added(note, least: int, *parts: list, error: Exception | None = None) -> None:
    async with Noting(note, least) as noting:
        for part in parts:
            await noting.add(part)
        await asyncio.sleep(0)
        if error is not None:
            raise error


@pytest.mark.parametrize(("least", "parts"), [(1, 5), (5, 1)])
async def test_a_failure_to_store_is_raised_to_whoever_adds_next(least, parts) -> None:
    """What was not stored is never passed over, be it the last of all."""
    with pytest.raises(DatabaseUnavailable):
        await added(Kept(fails=True), least, *(breaks(n) for n in range(parts)))


async def test_after_an_error_nothing_more_is_stored() -> None:
    """Whoever has failed to find breaks leaves with his own error; what is being stored is stopped."""
    stopped = asyncio.Event()

    async def forever(found: list) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(KeyError):
        await added(forever, 1, breaks(1), error=KeyError())
    assert stopped.is_set()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_breaks_of_several_statements_are_all_stored(made, dialect, monkeypatch) -> None:
    """As many statements as it takes; of two with one key the later one holds; quotes and line ends stay."""
    monkeypatch.setattr(store, "STATEMENT_BYTES", 300)
    odd = 'a"b\\c\n\u2028 ü \x00'
    found = [NewBreak((f"{n}{odd}",), "differs", {"told": odd, "n": n}, at=n) for n in range(20)]
    found.append(NewBreak(found[0].key, "orphan", {"n": "later"}))
    recon, run = store.ReconStore(dialect), Run(b"r" * 16, "r", "v", *DAY, "running", 1, None, 0, None)
    async with tieout.App(await made(dialect, "kept"), sweep=False, migrate=True) as app:
        await app.database.transact(lambda tx: recon.note(tx, run, found))
        kept = await app.database.read(lambda tx: recon.breaks(tx, run.id))
    assert {one.key[0]: (one.outcome, one.detail) for one in kept} == {
        one.key[0]: (one.outcome, one.detail) for one in found
    }
