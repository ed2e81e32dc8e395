"""The gate: what does not fit, and what comes from elsewhere."""

from __future__ import annotations

import pytest

import tieout
from tests.process.place import key_of, rest, standing, sweep
from tests.process.test_gate import A, TwoCalls
from tieout import Succeeded


@pytest.mark.parametrize("source", ["webhook", "", None, 5])
async def test_a_source_is_one_of_the_five(place, shop, source):
    """Another word is refused before it is stored: a row with it could not be read again."""
    app, process = await standing(place, shop)
    with pytest.raises(tieout.InvalidParams, match="source"):
        await app.report(key_of(process), A, source=source)
    assert await app.get(process.id) == process


async def test_the_trail_tells_every_move(place, shop):
    """Who advanced it, by which way, from which call: with the row, in order."""
    app, process = await standing(place, shop, TwoCalls)
    await app.report(key_of(process), Succeeded("one"), source="push")
    await rest(app)
    shop.will("find", Succeeded("two"))
    await sweep(app)
    trail = (await app.get(process.id)).trail
    assert [(move.to, move.source, move.by, move.n) for move in trail] == [
        ("second", "push", "message", 1),
        ("completed", "sweep", "query", 2),
    ]
    assert trail[0].at <= trail[1].at


async def test_a_report_of_an_earlier_call_does_not_move_a_later_one(place, shop):
    """Only the open call moves the process."""
    app, process = await standing(place, shop, TwoCalls)
    await app.report(key_of(process, 1), Succeeded("one"))
    await rest(app)
    assert await app.report(key_of(process, 1), Succeeded("one")) == "duplicate"
    process = await app.get(process.id)
    assert (process.state, [call.closed for call in process.calls]) == ("second", [True, False])
    assert [call.key for call in process.calls] == [key_of(process, 1), key_of(process, 2)]


async def test_a_process_that_changes_too_fast_is_overloaded(place, shop, monkeypatch):
    """A report that loses every time is not judged for ever: the reporter is told to come back."""
    monkeypatch.setattr("tieout.process.gate.JUDGEMENTS", 5)
    app, process = await standing(place, shop)
    save, lost = app.store.save, []

    async def overtaken(tx, record, due_in):
        lost.append(record)
        return False

    monkeypatch.setattr(app.store, "save", overtaken)
    with pytest.raises(tieout.Overloaded):
        await app.report(key_of(process), A)
    assert len(lost) == 5
    monkeypatch.setattr(app.store, "save", save)
    assert await app.report(key_of(process), A) == "advanced"
