"""The service's own database: SQLite or PostgreSQL, one transaction at a time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

TABLES = (
    """CREATE TABLE IF NOT EXISTS prize (
        key TEXT {unique}, sku TEXT NOT NULL, quantity INTEGER NOT NULL, code TEXT NOT NULL, status TEXT NOT NULL,
        result TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, ready_at DOUBLE PRECISION NOT NULL,
        turns_at DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS callback (
        id TEXT PRIMARY KEY, key TEXT NOT NULL, status TEXT NOT NULL, due DOUBLE PRECISION NOT NULL,
        tries INTEGER NOT NULL, state TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS prize_key ON prize (key)",
    "CREATE INDEX IF NOT EXISTS callback_due ON callback (state, due)",
    "CREATE INDEX IF NOT EXISTS callback_key ON callback (key)",
    "CREATE TABLE IF NOT EXISTS plan (name TEXT PRIMARY KEY, body TEXT NOT NULL)",
)

Fetch = Callable[..., Awaitable[list[Any]]]


class SqliteStore:
    """One connection, one transaction at a time. Statements take `$1`, `$2`, as they do on PostgreSQL."""

    def __init__(self, path: str) -> None:
        self._turn = asyncio.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.row_factory = sqlite3.Row
        # NORMAL: what is written survives the death of this process, which is all that this demo threatens.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Fetch]:
        async with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._fetch
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    async def _fetch(self, sql: str, *values: Any) -> list[Any]:
        return self._db.execute(sql, {str(n): value for n, value in enumerate(values, 1)}).fetchall()


class PostgresStore:
    """The same on PostgreSQL."""

    def __init__(self, connection: Any) -> None:
        self._turn = asyncio.Lock()
        self._connection = connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Fetch]:
        async with self._turn, self._connection.transaction():
            yield self._connection.fetch


Store = SqliteStore | PostgresStore


async def open_store(url: str, *, unique: bool) -> Store:
    """The store at a file path or a `postgresql://` URL, with its tables.

    `unique` makes a second prize of one key impossible; without it, only whoever issues them can see to that.
    """
    store: Store
    if url.startswith("postgresql://"):
        import asyncpg

        store = PostgresStore(await asyncpg.connect(url))
    else:
        store = SqliteStore(url)
    async with store.transaction() as fetch:
        for statement in TABLES:
            await fetch(statement.format(unique="PRIMARY KEY" if unique else "NOT NULL"))
    return store
