"""psycopg 3, blocking and not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tieout.contracts import Statement
from tieout.database.query import Compiled, compiled
from tieout.errors import DatabaseError, UsageError
from tieout.sessions.dbapi import DbapiTransaction, new_savepoint
from tieout.sessions.failures import from_driver
from tieout.sessions.joined import Joined, Ran, of_rows, of_write
from tieout.sessions.values import with_percent

_CLOSED = {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}


class PsycopgTransaction(DbapiTransaction):
    """A `psycopg.Connection` inside a transaction."""

    dialect = "postgres"
    _block: psycopg.Transaction

    async def check_open(self) -> None:
        _check_open(self.user)

    def begin(self) -> None:
        self._block = self.user.transaction()  # inside which the driver refuses a step's own commit and rollback
        self._block.__enter__()

    def commit(self) -> None:
        if self.user.closed:  # the driver would leave the block without a word
            raise psycopg.OperationalError("the connection is lost")
        self._block.__exit__(None, None, None)

    def roll_back(self) -> None:
        self._block.__exit__(psycopg.Rollback, psycopg.Rollback(self._block), None)

    def compile(self, sql: str | Statement) -> Compiled:
        return with_percent(compiled(sql, "postgres"))

    def cursor(self) -> Any:
        return psycopg.Cursor(self.user, row_factory=tuple_row)


class AsyncPsycopgTransaction(Joined):
    """A `psycopg.AsyncConnection` inside a transaction."""

    dialect = "postgres"
    blocking = False

    async def check_open(self) -> None:
        _check_open(self.user)

    def compile(self, sql: str | Statement) -> Compiled:
        return with_percent(compiled(sql, "postgres"))

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        async with psycopg.AsyncCursor(self.user, row_factory=tuple_row) as cursor:
            await cursor.execute(statement.text.encode(), args)
            if cursor.description is not None:
                return of_rows([column.name for column in cursor.description], await cursor.fetchall())
            return of_write("postgres", cursor.rowcount, None)

    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        async with psycopg.AsyncCursor(self.user, row_factory=tuple_row) as cursor:
            await cursor.executemany(statement.text.encode(), rows)

    async def set_savepoint(self) -> str:
        name = new_savepoint()
        await self._control(f"SAVEPOINT {name}")
        return name

    async def release_savepoint(self, mark: str) -> None:
        await self._control(f"RELEASE {mark}")

    async def undo_savepoint(self, mark: str) -> None:
        await self._control(f"ROLLBACK TO {mark}")
        await self._control(f"RELEASE {mark}")

    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        return from_driver("postgres", error, doing, text)

    async def _control(self, text: str) -> None:
        async with psycopg.AsyncCursor(self.user) as cursor:
            await cursor.execute(text.encode())


def transaction_of(user: Any) -> Joined:
    """The transaction of a connection; raise `UsageError` for anything else."""
    if isinstance(user, psycopg.AsyncConnection):
        return AsyncPsycopgTransaction(user)
    if isinstance(user, psycopg.Connection):
        return PsycopgTransaction(user)
    raise UsageError(f"tx= takes psycopg's connections, not a {type(user).__name__}")


def _check_open(connection: Any) -> None:
    if connection.info.transaction_status in _CLOSED:
        raise UsageError("no transaction is open on this connection: begin one with `connection.transaction()`")
