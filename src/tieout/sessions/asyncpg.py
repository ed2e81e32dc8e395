"""asyncpg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tieout.database.postgres_errors import from_postgres
from tieout.database.query import Compiled
from tieout.errors import DatabaseError, DatabaseUnavailable, UsageError
from tieout.sessions.dbapi import new_savepoint
from tieout.sessions.joined import Joined, Ran


class AsyncpgTransaction(Joined):
    """An asyncpg connection, of a pool or not, inside a transaction."""

    dialect = "postgres"
    blocking = False

    async def check_open(self) -> None:
        if not self.user.is_in_transaction():
            raise UsageError("no transaction is open on this connection: begin one with `connection.transaction()`")

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        if fetch:
            rows = await self.user.fetch(statement.text, *args)
            return Ran(rows, len(rows))
        count = (await self.user.execute(statement.text, *args)).rpartition(" ")[2]
        return Ran((), int(count) if count.isdigit() else 0)

    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        await self.user.executemany(statement.text, rows)

    async def set_savepoint(self) -> str:
        name = new_savepoint()
        await self.user.execute(f"SAVEPOINT {name}")
        return name

    async def release_savepoint(self, mark: str) -> None:
        await self.user.execute(f"RELEASE {mark}")

    async def undo_savepoint(self, mark: str) -> None:
        await self.user.execute(f"ROLLBACK TO {mark}; RELEASE {mark}")

    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        failure = from_postgres(error, doing, text)
        if self.user.is_closed():
            return DatabaseUnavailable(f"{doing}: the connection was lost: {error}", failure.sqlstate)
        return failure
