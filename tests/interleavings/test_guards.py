"""Without one of the guards, some order breaks a law: the suite would tell."""

from __future__ import annotations

from contextlib import aclosing

import msgspec
import pytest

from tests.interleavings.laws import violations
from tests.interleavings.pairs import PAIRS
from tests.interleavings.schedule import Orders
from tieout.alarm.store import AlarmStore
from tieout.eventloop import LoopClock


class Unfenced:
    """Saves whatever the row's fence is."""

    async def save(self, tx, record, due_in):
        now = await self.read(tx, record.id)
        return await super().save(tx, msgspec.structs.replace(record, fence=now.fence), due_in)


class Unnoticing:
    """Takes an insert for done although the row was there."""

    async def insert(self, tx, process):
        created = await super().insert(tx, process)
        return 0 if created is None else created


class Apart(AlarmStore):
    """Raises alarms in transactions of their own."""

    def __init__(self, app):
        super().__init__(app.database.dialect)
        self.database = app.database.inner

    async def raise_alarm(self, tx, alarm):
        raising = super().raise_alarm
        return await self.database.transact(lambda own: raising(own, alarm))


def with_store(fault):
    """A node whose store has a fault."""

    def broken(app):
        faulty = type(fault.__name__, (fault, type(app.store)), {})
        app.engine.world.store = faulty(app.database.dialect, LoopClock())

    return broken


def with_alarms_apart(app):
    app.engine.world.alarms = Apart(app)


@pytest.mark.parametrize(
    ("name", "broken", "told"),
    [
        ("report/report", with_store(Unfenced), "followed more than once"),
        ("start/start", with_store(Unnoticing), "start step has written 2 times"),
        ("report/report of what was not sent", with_alarms_apart, "alarms [('conflict', 2)] instead of"),
    ],
    ids=["fence", "unique index", "one transaction"],
)
async def test_each_guard_is_needed(arena, name, broken, told):
    """A node that ignores the fence, or the unique index, or raises alarms outside the transaction, is found out."""
    (pair,) = (pair for pair in PAIRS if pair.name == name)
    await arena.prepare(pair.prepare)
    found = ""
    async with aclosing(arena.every_order(pair.acts, pair.desk, Orders(), broken)) as orders:
        async for seen in orders:
            found = next((what for what in violations(pair, seen) if told in what), "")
            if found:
                break
    assert found
