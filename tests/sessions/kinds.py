"""Every kind of transaction that a user may bring: how it is opened, written in, and ended."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import django.db
import psycopg
import pymysql
from django.db import transaction as django_transaction
from pymysql.constants.CLIENT import FOUND_ROWS
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

WAITED = 60.0
"""Seconds after which something that should come true has not."""

LEVELS = {"": "", "committed": "READ COMMITTED", "repeatable": "REPEATABLE READ", "autocommit": "AUTOCOMMIT"}


class Given:
    """What a test is given inside one transaction: the `tx` to start with, and the means to write beside it."""

    def __init__(self, app: Any, tx: Any, execute: Callable[[str], Any], *, blocking: bool) -> None:
        self.app = app
        self.tx = tx
        self.is_blocking = blocking
        self._execute = execute

    async def sql(self, statement: str) -> Any:
        """Run a statement through the user's library."""
        result = self._execute(statement)
        return await result if isinstance(result, Awaitable) else result

    async def until(self, event: threading.Event) -> None:
        """Wait until somebody else has come so far."""
        ends = time.monotonic() + WAITED
        while not event.is_set():
            assert time.monotonic() < ends
            if self.is_blocking:
                event.wait(0.05)
            else:
                await asyncio.sleep(0.001)

    async def write(self, what: str) -> None:
        """A business write of the user's own."""
        await self.sql(f"INSERT INTO posting (process, what, points) VALUES ('user', '{what}', 0)")

    async def start(self, request: Any) -> Any:
        """Start a process that joins this transaction."""
        started = self.app.start(request, tx=self.tx)
        return started if self.is_blocking else await started


class Kind:
    """One library on one database. `hook` says whether it tells of its commits."""

    name: str
    dialect: str
    hook = False
    blocking = False

    def __repr__(self) -> str:
        return self.name

    def opened(self, url: str, *, level: str = "", begun: bool = True) -> Any:
        """A context with the `tx` and how to execute; without a transaction unless it is to be `begun`."""
        raise NotImplementedError


class Blocking(Kind):
    """A library that blocks."""

    blocking = True


async def in_thread(function: Callable[[], Any]) -> Any:
    """What a function returns, run in a new thread: no connection that a library keeps for a thread is met again."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def settle(set_: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_(value)

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            loop.call_soon_threadsafe(settle, done.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, done.set_result, result)

    threading.Thread(target=run, daemon=True).start()
    return await done


@dataclass(repr=False)
class Alchemy(Kind):
    """SQLAlchemy on an asyncio driver: `what` is "session" or "connection"."""

    driver: str
    dialect: str
    what: str

    @property
    def name(self) -> str:
        return f"sqlalchemy-{self.driver}-{self.what}"

    @property
    def hook(self) -> bool:
        return self.what == "session"

    @asynccontextmanager
    async def opened(self, url: str, *, level: str = "", begun: bool = True):
        options = {"isolation_level": LEVELS[level]} if level else {}
        engine = create_async_engine(driver_url(url, self.driver), poolclass=NullPool, **options)
        owner = AsyncSession(engine) if self.what == "session" else engine.connect()
        try:
            async with owner as opened:

                async def execute(statement: str) -> Any:
                    result = await opened.execute(text(statement))
                    return result.fetchall() if result.returns_rows else None

                if not begun:
                    yield opened, execute
                    return
                async with opened.begin():
                    yield opened, execute
        finally:
            await engine.dispose()


@dataclass(repr=False)
class BlockingAlchemy(Blocking):
    """SQLAlchemy on a blocking driver."""

    driver: str
    dialect: str
    what: str

    @property
    def name(self) -> str:
        return f"sqlalchemy-{self.driver}-{self.what}"

    @property
    def hook(self) -> bool:
        return self.what == "session"

    @contextmanager
    def opened(self, url: str, *, level: str = "", begun: bool = True):
        options = {"isolation_level": LEVELS[level]} if level else {}
        engine = create_engine(driver_url(url, self.driver), poolclass=NullPool, **options)
        with Session(engine) if self.what == "session" else engine.connect() as opened:

            def execute(statement: str) -> Any:
                result = opened.execute(text(statement))
                return result.fetchall() if result.returns_rows else None

            if not begun:
                yield opened, execute
                return
            with opened.begin():
                yield opened, execute


class Asyncpg(Kind):
    """asyncpg."""

    name = "asyncpg"
    dialect = "postgres"

    @asynccontextmanager
    async def opened(self, url: str, *, level: str = "", begun: bool = True):
        connection = await asyncpg.connect(url)
        try:
            if not begun:
                yield connection, connection.fetch
                return
            async with connection.transaction(isolation=LEVELS[level].lower().replace(" ", "_") or None):
                yield connection, connection.fetch
        finally:
            await connection.close()


class AsyncpgPool(Kind):
    """asyncpg, by a pool."""

    name = "asyncpg-pool"
    dialect = "postgres"

    @asynccontextmanager
    async def opened(self, url: str, *, level: str = "", begun: bool = True):
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
            if not begun:
                yield connection, connection.fetch
                return
            async with connection.transaction(isolation=LEVELS[level].lower().replace(" ", "_") or None):
                yield connection, connection.fetch


class AsyncPsycopg(Kind):
    """psycopg's asyncio connection."""

    name = "psycopg-async"
    dialect = "postgres"

    @asynccontextmanager
    async def opened(self, url: str, *, level: str = "", begun: bool = True):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

            async def execute(statement: str) -> Any:
                cursor = await connection.execute(statement)
                return await cursor.fetchall() if cursor.description else None

            if not begun:
                yield connection, execute
                return
            if level:
                await connection.set_isolation_level(psycopg.IsolationLevel[LEVELS[level].replace(" ", "_")])
            async with connection.transaction():
                yield connection, execute


class Psycopg(Blocking):
    """psycopg."""

    name = "psycopg"
    dialect = "postgres"

    @contextmanager
    def opened(self, url: str, *, level: str = "", begun: bool = True):
        with psycopg.connect(url, autocommit=True) as connection:

            def execute(statement: str) -> Any:
                cursor = connection.execute(statement)
                return cursor.fetchall() if cursor.description else None

            if not begun:
                yield connection, execute
                return
            if level:
                connection.isolation_level = psycopg.IsolationLevel[LEVELS[level].replace(" ", "_")]
            with connection.transaction():
                yield connection, execute


class Sqlite3(Blocking):
    """The standard library's sqlite3."""

    name = "sqlite3"
    dialect = "sqlite"

    @contextmanager
    def opened(self, url: str, *, level: str = "", begun: bool = True):
        connection = sqlite3.connect(urlsplit(url).path[1:], timeout=10)
        connection.execute("PRAGMA foreign_keys = ON")

        def execute(statement: str) -> Any:
            return connection.execute(statement).fetchall()

        try:
            if begun:
                connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection, execute
        finally:
            connection.close()


class PyMySql(Blocking):
    """PyMySQL."""

    name = "pymysql"
    dialect = "mysql"

    @contextmanager
    def opened(self, url: str, *, level: str = "", begun: bool = True):
        with pymysql.connect(**mysql_address(url), autocommit=True, client_flag=FOUND_ROWS) as connection:

            def execute(statement: str) -> Any:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    return cursor.fetchall()

            if not begun:
                yield connection, execute
                return
            if level:
                execute(f"SET TRANSACTION ISOLATION LEVEL {LEVELS[level]}")
            connection.begin()
            try:
                yield connection, execute
            except BaseException:
                connection.rollback()
                raise
            connection.commit()


@dataclass(repr=False)
class Django(Blocking):
    """Django's `atomic`."""

    dialect: str
    alias: str = ""
    port: int | None = None
    hook = True

    @property
    def name(self) -> str:
        return f"django-{self.dialect}"

    @contextmanager
    def opened(self, url: str, *, level: str = "", begun: bool = True):
        connection = django.db.connections[self.alias or self.dialect]
        if self.port is not None:
            connection.settings_dict = connection.settings_dict | {"PORT": self.port}
        options = connection.settings_dict["OPTIONS"]
        if level and self.dialect == "postgres":
            options["isolation_level"] = psycopg.IsolationLevel[LEVELS[level].replace(" ", "_")]
        elif level:
            options["isolation_level"] = LEVELS[level].lower()

        def execute(statement: str) -> Any:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None

        try:
            if not begun:
                yield connection, execute
                return
            with django_transaction.atomic(using=connection.alias):
                yield connection, execute
        finally:
            options.pop("isolation_level", None)
            connection.close()


FEW: tuple[Kind, ...] = (
    Asyncpg(),
    AsyncPsycopg(),
    Psycopg(),
    Alchemy("asyncpg", "postgres", "session"),
    BlockingAlchemy("psycopg", "postgres", "connection"),
    Django("postgres"),
    Sqlite3(),
    Alchemy("aiosqlite", "sqlite", "session"),
    BlockingAlchemy("pysqlite", "sqlite", "session"),
    PyMySql(),
    Alchemy("asyncmy", "mysql", "session"),
    Django("mysql"),
)
"""Each library, once on each database where it is special."""

KINDS: tuple[Kind, ...] = (
    *FEW,
    AsyncpgPool(),
    Alchemy("asyncpg", "postgres", "connection"),
    Alchemy("psycopg_async", "postgres", "session"),
    BlockingAlchemy("psycopg", "postgres", "session"),
    Alchemy("aiosqlite", "sqlite", "connection"),
    BlockingAlchemy("pysqlite", "sqlite", "connection"),
    Django("sqlite"),
    Alchemy("asyncmy", "mysql", "connection"),
    BlockingAlchemy("pymysql", "mysql", "session"),
    BlockingAlchemy("pymysql", "mysql", "connection"),
)


def driver_url(url: str, driver: str) -> str:
    """A URL of tieout's as SQLAlchemy writes it."""
    scheme, rest = url.split(":", 1)
    return f"{scheme}+{driver}:{rest}"


def mysql_address(url: str) -> dict[str, Any]:
    """A URL as PyMySQL takes it."""
    parts = urlsplit(url)
    return {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": parts.path[1:]}
