"""A database to receive requests on, the Apps open on it, and a business whose effects can be counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from tieout import App, Once, Transaction

TABLES = ("tieout_once", "tieout_inbox", "prize")
PRIZE = "CREATE TABLE IF NOT EXISTS prize (owner TEXT NOT NULL, sku TEXT NOT NULL, quantity BIGINT NOT NULL)"
"""The effect. Nothing in the table makes it happen only once."""

WAITED = 60.0
"""Seconds after which something that should come true has not."""


class Prize(msgspec.Struct, frozen=True):
    """What the service answers; no two effects give the same."""

    code: str


class SoldOut(msgspec.Struct, frozen=True, tag=True):
    """A refusal."""

    sku: str


class Place:
    """One database, and the Apps that a test has opened on it: each stands for a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.apps: list[App] = []

    @property
    def is_served(self) -> bool:
        return not self.url.startswith("sqlite")

    async def open(self, **options: Any) -> App:
        """An open App."""
        app = App(self.url, **({"sweep": False, "migrate": True} | options))
        await app.__aenter__()
        self.apps.append(app)
        return app

    async def close(self) -> None:
        for app in self.apps:
            await app.close()

    async def prepare(self) -> None:
        """Empty tables."""
        app = await self.open()
        await rows(app, PRIZE)
        for table in TABLES:
            await rows(app, f"DELETE FROM {table}")


class Counter:
    """How often a handler was run, and a gate to keep it inside."""

    def __init__(self) -> None:
        self.runs = 0
        self.raises: list[Exception] = []
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None

    def prizes(self, app: App, scope: str = "issue-prize", **options: Any) -> Once[Prize]:
        """A service that issues prizes."""

        @app.once(scope, **options)
        async def issue(tx: Transaction, sku: str, quantity: int = 1) -> Prize:
            self.runs += 1
            number = self.runs
            await give(tx, scope, sku, quantity)
            if self.gate is not None:
                self.entered.set()
                await self.gate.wait()
            if self.raises:
                raise self.raises.pop(0)
            return Prize(f"{sku}-{number}-{id(self)}")

        return issue


async def give(tx: Transaction, owner: str, sku: str, quantity: int) -> None:
    """The effect."""
    await tx.execute(
        "INSERT INTO prize (owner, sku, quantity) VALUES (:owner, :sku, :quantity)",
        owner=owner,
        sku=sku,
        quantity=quantity,
    )


async def rows(app: App, sql: str, **params: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement."""

    async def work(tx: Transaction) -> list[tuple[Any, ...]]:
        if not sql.startswith("SELECT"):
            await tx.execute(sql, **params)
            return []
        return [tuple(row) for row in await tx.fetch(sql, **params)]

    return await app.database.transact(work)


async def effects(app: App) -> int:
    """How many prizes there are."""
    return (await rows(app, "SELECT count(*) FROM prize"))[0][0]


async def answers(app: App) -> int:
    """How many answers are kept."""
    return (await rows(app, "SELECT count(*) FROM tieout_once"))[0][0]


async def until(true: Callable[[], Any]) -> Any:
    """Wait until it is true, and return what it is then."""
    async with asyncio.timeout(WAITED):
        while not (value := true()):  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.002)
    return value
