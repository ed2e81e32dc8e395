"""Connections of blocking drivers that keep to the DB-API."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from tieout.database.query import Compiled
from tieout.errors import DatabaseError, UsageError
from tieout.sessions.failures import from_driver
from tieout.sessions.joined import Joined, Ran, of_rows, of_write

_numbers = itertools.count(1)


def new_savepoint() -> str:
    """A name that no other savepoint has."""
    return f"tieout_{next(_numbers)}"


class DbapiTransaction(Joined):
    """A connection with an open transaction. Nothing here suspends: each statement blocks until it is done."""

    blocking = True

    @abstractmethod
    def cursor(self) -> Any:
        """A new cursor whose rows are plain tuples, whatever the user has set for others."""

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        cursor = self.cursor()
        try:
            cursor.execute(statement.text, args)
            if cursor.description is not None:
                return of_rows([column[0] for column in cursor.description], cursor.fetchall())
            return of_write(self.dialect, self.matched(statement, cursor), getattr(cursor, "lastrowid", None))
        finally:
            cursor.close()

    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        cursor = self.cursor()
        try:
            cursor.executemany(statement.text, rows)
        finally:
            cursor.close()

    async def set_savepoint(self) -> str:
        name = new_savepoint()
        self.control(f"SAVEPOINT {name}")
        return name

    async def release_savepoint(self, mark: str) -> None:
        self.control(f"RELEASE SAVEPOINT {mark}")

    async def undo_savepoint(self, mark: str) -> None:
        self.control(f"ROLLBACK TO SAVEPOINT {mark}")
        self.control(f"RELEASE SAVEPOINT {mark}")

    async def flush(self) -> None:
        """Nothing is kept back; but a step must not have ended the transaction."""
        try:
            await self.check_open()
        except UsageError as error:
            raise UsageError("a step has committed or rolled back its connection: that is the App's to do") from error

    def begin(self) -> None:
        """Begin a transaction, on a connection without one."""
        self.control("BEGIN")

    def commit(self) -> None:
        """Commit; raise what the driver raises."""
        self.user.commit()

    def roll_back(self) -> None:
        """Undo all; raise what the driver raises."""
        self.user.rollback()

    def free(self) -> None:
        """Give back what would outlive the transaction."""

    def matched(self, statement: Compiled, cursor: Any) -> int:
        """How many rows a write matched."""
        return int(cursor.rowcount)

    def control(self, text: str) -> None:
        """Run a statement without values and without rows."""
        cursor = self.cursor()
        try:
            cursor.execute(text)
        finally:
            cursor.close()

    def translated(self, error: Exception) -> Exception:
        return self.failure(error, "step") if isinstance(error, self.user.Error) else error

    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        return from_driver(self.dialect, error, doing, text)
