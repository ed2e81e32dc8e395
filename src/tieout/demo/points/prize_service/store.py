"""The service's own database: SQLite, PostgreSQL or MySQL, one transaction at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

TABLES = (
    """CREATE TABLE IF NOT EXISTS prize (
        order_key VARCHAR(255) {unique}, sku VARCHAR(40) NOT NULL, quantity INTEGER NOT NULL, code VARCHAR(40) NOT NULL,
        status VARCHAR(20) NOT NULL, result VARCHAR(40) NOT NULL, created DOUBLE PRECISION NOT NULL,
        ready_at DOUBLE PRECISION NOT NULL, turns_at DOUBLE PRECISION NOT NULL, issued_at BIGINT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS callback (
        id VARCHAR(255) PRIMARY KEY, order_key VARCHAR(255) NOT NULL, status VARCHAR(20) NOT NULL,
        due DOUBLE PRECISION NOT NULL, tries INTEGER NOT NULL, state VARCHAR(20) NOT NULL, way VARCHAR(10) NOT NULL
    )""",
    "CREATE INDEX {once} prize_key ON prize (order_key)",
    "CREATE INDEX {once} callback_due ON callback (state, due)",
    "CREATE INDEX {once} callback_key ON callback (order_key)",
    "CREATE TABLE IF NOT EXISTS plan (name VARCHAR(255) PRIMARY KEY, body TEXT NOT NULL)",
)
"""`{once}` is IF NOT EXISTS, which MySQL does not know for an index: there it fails the second time."""

INDEX_IS_THERE = 1061
"""What MySQL says then."""

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


class MySqlStore:
    """The same on MySQL and MariaDB."""

    def __init__(self, connection: Any) -> None:
        self._turn = asyncio.Lock()
        self._connection = connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Fetch]:
        async with self._turn:
            await self._connection.begin()
            try:
                yield self._fetch
            except BaseException:
                await self._connection.rollback()
                raise
            await self._connection.commit()

    async def _fetch(self, sql: str, *values: Any) -> list[Any]:
        async with self._connection.cursor() as cursor:
            numbered = {f"v{n}": value for n, value in enumerate(values, 1)}
            await cursor.execute(re.sub(r"\$(\d+)", r"%(v\1)s", sql), numbered or None)
            return list(await cursor.fetchall())


Store = SqliteStore | PostgresStore | MySqlStore


async def connect(url: str) -> Store:
    """The store at a file path, a `postgresql://` or a `mysql://` URL."""
    if url.startswith("postgresql://"):
        import asyncpg

        return PostgresStore(await asyncpg.connect(url))
    if url.startswith("mysql://"):
        import asyncmy
        from asyncmy.cursors import DictCursor

        at = urlsplit(url)
        place = {"host": at.hostname, "port": at.port or 3306, "user": at.username, "password": at.password or ""}
        return MySqlStore(await asyncmy.connect(**place, db=at.path[1:], cursor_cls=DictCursor))
    return SqliteStore(url)


async def open_store(url: str, *, unique: bool) -> Store:
    """The store at a URL, with its tables.

    `unique` makes a second prize of one key impossible; without it, only whoever issues them can see to that.
    """
    store = await connect(url)
    once = "" if isinstance(store, MySqlStore) else "IF NOT EXISTS"
    for statement in TABLES:
        try:
            async with store.transaction() as fetch:
                await fetch(statement.format(unique="PRIMARY KEY" if unique else "NOT NULL", once=once))
        except Exception as error:
            if error.args[:1] != (INDEX_IS_THERE,):
                raise
    return store
