"""The suite of the Database contract, on transactions that are users' own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tests.sessions.kinds import Asyncpg, AsyncPsycopg, Kind, Psycopg, PyMySql, Sqlite3, driver_url
from tieout.contracts import Transaction
from tieout.database import connect
from tieout.sessions import SessionDatabase, in_sessions, join
from tieout.testing.database_rules import CountingRules, ErrorRules, TransactionRules
from tieout.testing.database_site import Site
from tieout.testing.database_suite import DatabaseSuite, ValueRules

DRIVERS = {"aiosqlite": "sqlite", "asyncpg": "postgres", "asyncmy": "mysql"}
KINDS = (Asyncpg(), AsyncPsycopg(), Psycopg(), Sqlite3(), PyMySql())


class TestSessions(DatabaseSuite):
    """An App's own transactions in SQLAlchemy's sessions."""

    @pytest.fixture(params=DRIVERS)
    async def site(self, request, urls):
        url = urls[f"{DRIVERS[request.param]}-suite"]
        engine = create_async_engine(driver_url(url, request.param), pool_size=4, max_overflow=0)
        if request.param == "aiosqlite":
            event.listen(engine.sync_engine, "connect", lambda made, _: made.execute("PRAGMA foreign_keys = ON"))
        yield Site(lambda: in_sessions(connect(url), async_sessionmaker(engine), blocking=False))
        await engine.dispose()


class Lent:
    """Sessions that are never asked for."""

    given = object
    blocking = False


class JoinedDatabase(SessionDatabase):
    """A database whose transactions are begun and ended by a user of some library, and joined."""

    def __init__(self, url: str, kind: Kind) -> None:
        super().__init__(connect(url), Lent())
        self.url = url
        self.kind = kind

    async def transact(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        self.check_here()
        if self.kind.blocking:
            with self.kind.opened(self.url) as (tx, _):
                return await self._joined(tx, work)
        async with self.kind.opened(self.url) as (tx, _):
            return await self._joined(tx, work)

    async def _joined(self, tx: Any, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        joined = await join(tx, self.dialect, None, blocking=self.kind.blocking)
        try:
            result = await work(joined)
            joined.check()
        finally:
            joined.end()
        return result


class TestJoined(TransactionRules, CountingRules, ErrorRules, ValueRules):
    """Transactions of users, as tieout's; one at a time."""

    @pytest.fixture(params=KINDS, ids=repr)
    def site(self, request, urls):
        return Site(lambda: JoinedDatabase(urls[f"{request.param.dialect}-suite"], request.param))
