"""A real database for two nodes: its first rows, put back before every order, and what stands in it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from tests.interleavings.gates import Actor, GatedDatabase
from tests.interleavings.schedule import Conductor, Orders
from tests.interleavings.trade import POINTS, TABLES, Desk, Trade
from tieout import App, Transaction
from tieout.contracts import Database
from tieout.database import connect
from tieout.eventloop import LoopClock
from tieout.process.record import Record

KEPT = ("tieout_process", "tieout_evidence", "tieout_alarm", "tieout_audit", "note", "account")
"""The tables that are put back; the order is one in which their rows can be deleted."""

WAITING = {"postgres": "SELECT count(*) FROM pg_locks WHERE NOT granted", "mysql": "SHOW ENGINE INNODB STATUS"}
"""Asks how many transactions wait for a lock, of those who grant it: the waiting themselves learn of it later."""

Act = Callable[[App], Awaitable[Any]]
"""What one actor does, with an App of its own."""

Change = Callable[[App], None]
"""Breaks a node, to see whether that is noticed."""


class HastyClock(LoopClock):
    """Nobody waits for another try: time brings no order that the conductor does not."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(0)


class AlarmFound(NamedTuple):
    """An alarm, and the claims that it keeps."""

    kind: str
    times: int
    evidence: list[dict[str, Any]]


class Seen(NamedTuple):
    """What one order has led to: the order, what each actor came to, and what stands in the database."""

    order: list[str]
    outcomes: list[Any]
    desk: Desk
    processes: list[Record]
    notes: list[str]
    points: int
    alarms: list[AlarmFound]
    audit: list[str]


class Arena:
    """Two nodes on one real database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database: Database = connect(url)
        self.app = App(url, database=self.database, deps=Desk(), sweep=False, migrate=True)
        self.app.register(Trade)
        self._rows: dict[str, list[dict[str, Any]]] = {}

    async def open(self) -> None:
        await self.app.__aenter__()

        async def work(tx: Transaction) -> None:
            for statement in TABLES:
                await tx.execute(statement)

        await self.database.transact(work)

    async def close(self) -> None:
        await self.app.close()

    async def prepare(self, story: Act) -> None:
        """Empty tables, an account, and what `story` does: the rows that every order begins with."""
        self._rows = {"account": [{"name": "ann", "points": POINTS}]}
        await self.put_back()
        await story(self.app)

        async def work(tx: Transaction) -> dict[str, list[dict[str, Any]]]:
            return {table: [_columns(row) for row in await tx.fetch(f"SELECT * FROM {table}")] for table in KEPT}

        self._rows = await self.database.read(work)
        del self._rows["tieout_audit"]

    async def put_back(self) -> None:
        async def work(tx: Transaction) -> None:
            for table in KEPT:
                await tx.execute(f"DELETE FROM {table}")
            for table, rows in reversed(self._rows.items()):
                for row in rows:
                    names = ", ".join(row)
                    values = ", ".join(f":{name}" for name in row)
                    await tx.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", **row)

        await self.database.transact(work)

    async def waiting(self) -> int:
        """How many transactions wait for a lock."""

        async def work(tx: Transaction) -> int:
            row = await tx.fetch_one(WAITING[tx.dialect])
            assert row is not None
            return row[0] if tx.dialect == "postgres" else row[2].count("TRX HAS BEEN WAITING")

        return await self.database.read(work)

    def node(self, actor: Actor, desk: Desk, broken: Change | None) -> App:
        """An App of an actor's own, on the common database."""
        app = App(self.url, database=GatedDatabase(self.database, actor), deps=desk, sweep=False, clock=HastyClock())
        app.register(Trade)
        if broken is not None:
            broken(app)
        return app

    async def every_order(
        self, acts: Mapping[str, Act], desk: Callable[[], Desk], orders: Orders, broken: Change | None = None
    ) -> AsyncIterator[Seen]:
        """What each order of the actors' statements leads to, from the rows that were prepared."""
        more = True
        while more:
            await self.put_back()
            seen = await self._one_order(acts, desk(), orders, broken)
            if orders.is_new:
                yield seen
            more = orders.next()

    async def _one_order(self, acts: Mapping[str, Act], desk: Desk, orders: Orders, broken: Change | None) -> Seen:
        conductor = Conductor(list(acts), self.waiting)
        for actor, act in zip(conductor.actors, acts.values(), strict=True):
            actor.start(act(self.node(actor, desk, broken)))
        try:
            await conductor.run(orders)
            return await self.look(conductor, desk)
        finally:
            await conductor.stop()

    async def look(self, conductor: Conductor, desk: Desk) -> Seen:
        """What stands in the database now."""

        async def work(tx: Transaction) -> Seen:
            ids = [row[0] for row in await tx.fetch("SELECT id FROM tieout_process")]
            records = [await self.app.store.read(tx, process) for process in ids]
            points = await tx.fetch_one("SELECT points FROM account")
            return Seen(
                conductor.order,
                [actor.outcome for actor in conductor.actors],
                desk,
                [record for record in records if record is not None],
                [row[0] for row in await tx.fetch("SELECT what FROM note")],
                0 if points is None else points[0],
                [
                    AlarmFound(alarm.kind, alarm.count, await self._evidence(tx, alarm.id))
                    for alarm in await self.app.alarms.store.page(tx)
                ],
                [row[0] for row in await tx.fetch("SELECT action FROM tieout_audit ORDER BY seq")],
            )

        return await self.database.read(work)

    async def _evidence(self, tx: Transaction, alarm: bytes) -> list[dict[str, Any]]:
        return [msgspec.json.decode(piece.body) for piece in await self.app.alarms.store.evidence(tx, alarm)]


def _columns(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row iterates over its values
