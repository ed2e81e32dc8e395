"""A database to run Apps on, and the means to let time pass in it and to look at what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.process.shop import POINTS, TABLES, Shop, redeem
from tieout import App, ProcessView, Transaction, Unknown
from tieout.alarm.store import Alarm, Evidence
from tieout.eventloop import LoopClock
from tieout.process.operating import Act
from tieout.process.record import encode_calls

OURS = (
    "tieout_child",
    "tieout_recall",
    "tieout_process",
    "tieout_stray",
    "tieout_evidence",
    "tieout_alarm",
    "tieout_audit",
    "account",
    "posting",
)
DELETIONS = tuple(f"DELETE FROM {table}" for table in OURS)
EMPTY = {"sqlite": DELETIONS, "mysql": DELETIONS, "postgres": (f"DO $$ BEGIN {'; '.join(DELETIONS)}; END $$",)}
WAITED = 60.0
"""Seconds after which something that should come true has not."""


class Hurried(LoopClock):
    """A clock for Apps whose pauses between tries need not be waited for."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


ANN = Act("ann", "as agreed by telephone")
BOB = Act("bob", "I have checked it too")


class Place:
    """One database, and the Apps that a test has opened on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.apps: list[App] = []

    async def open(self, *types: Any, shop: Any = None, **options: Any) -> App:
        """An open App that knows these types. It sweeps only when told to."""
        options = {"sweep": False, "migrate": True} | options
        app = App(self.url, deps=Shop() if shop is None else shop, **options)
        for process_type in types:
            app.register(process_type)
        await app.__aenter__()
        self.apps.append(app)
        return app

    async def close(self) -> None:
        """Close every App, without waiting for what they are at."""
        for app in self.apps:
            if app._worker is not None:  # noqa: SLF001 - tells whether the test has closed it
                await close_at_once(app)

    async def prepare(self) -> None:
        """Empty tables, and one account."""
        app = await self.open()

        async def work(tx: Transaction) -> None:
            for statement in TABLES:
                await tx.execute(statement)
            for statement in EMPTY[tx.dialect]:
                await tx.execute(statement)
            await tx.execute("INSERT INTO account (name, points) VALUES ('ann', :points)", points=POINTS)

        await app.database.transact(work)
        await app.close()


async def standing(place: Place, shop: Shop, kind: Any = None, **options: Any) -> tuple[App, ProcessView]:
    """An App and a process that stands at its call: the first try came to nothing, and nobody looks after it now.

    `options` are those of the call of `redeem`.
    """
    kind = kind or redeem(**options)
    app = await place.open(kind, shop=shop)
    shop.will("issue", Unknown("no answer"))
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    return app, await app.get(process.id)


def raw(process: ProcessView) -> bytes:
    """The id of a process as the operator's commands take it."""
    return bytes.fromhex(process.id)


async def close_at_once(app: App) -> None:
    """Close an App as a crash would: nothing that it is at is waited for."""
    app.worker.limits = msgspec.structs.replace(app.worker.limits, drain=0.0)
    await app.close()


async def until(true: Callable[[], Any]) -> Any:
    """Wait until it is true, and return what it is then."""
    async with asyncio.timeout(WAITED):
        while not (value := true()):  # noqa: ASYNC110 - many things come true in many ways
            await asyncio.sleep(0.002)
    return value


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """Look until there is something to see, and return it."""
    async with asyncio.timeout(WAITED):
        while not (seen := await look()):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.01)
    return seen


async def rest(app: App) -> None:
    """Wait until the App's worker is at work on nothing."""
    await asyncio.sleep(0)
    await until(lambda: app.worker.in_flight == 0)


async def sweep(app: App) -> int:
    """Everything that runs is due: one round of the sweep, to its end; how many were claimed."""
    await rest(app)
    await rows(app, "UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running'")
    claimed = await app.worker.sweep()
    await rest(app)
    return claimed


async def rows(app: App, sql: str, **params: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, past whatever a test has put before the database."""
    database = getattr(app.database, "inner", app.database)
    if sql.startswith("SELECT"):
        return [tuple(row) for row in await database.read(lambda tx: tx.fetch(sql, **params))]
    await database.transact(lambda tx: tx.execute(sql, **params))
    return []


async def points(app: App, user: str = "ann") -> int:
    """What is left on an account."""
    return (await rows(app, "SELECT points FROM account WHERE name = :user", user=user))[0][0]


async def changes(app: App, process: str) -> list[str]:
    """What the steps of a process have written, in no order."""
    return sorted(what for (what,) in await rows(app, "SELECT what FROM posting WHERE process = :id", id=process))


async def alarms(app: App, kind: str = "") -> list[Alarm]:
    """Its alarms."""
    return await app.alarms.list(kind=kind)


async def evidence(app: App, alarm: Alarm) -> list[dict[str, Any]]:
    """The pieces of evidence of an alarm, oldest first."""
    found: list[Evidence] = (await app.alarms.show(alarm.id)).evidence
    return [msgspec.json.decode(piece.body) for piece in found]


async def age(app: App, process: ProcessView, seconds: float) -> None:
    """Let time pass for one process: every moment that its row holds is so much longer ago."""
    micros = round(seconds * 1_000_000)
    record = await app.engine.read(raw(process))
    for entry in record.calls:
        entry.opened = entry.opened and entry.opened - micros
        entry.sent = entry.sent and entry.sent - micros
    await rows(
        app,
        "UPDATE tieout_process SET calls = :calls, created = created - :micros, changed = changed - :micros,"
        " due = due - :micros, deadline = deadline - :micros WHERE id = :id",
        calls=encode_calls(record.calls),
        micros=micros,
        id=record.id,
    )


def key_of(process: ProcessView, n: int = 1) -> str:
    """The call key of one of its calls."""
    return f"{process.id}:{n}"
