"""The standard library's sqlite3."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from tieout.database.query import Compiled
from tieout.database.sqlite_errors import missing_in
from tieout.errors import UsageError
from tieout.sessions.dbapi import DbapiTransaction
from tieout.sessions.joined import Ran


class SqliteTransaction(DbapiTransaction):
    """A `sqlite3.Connection` inside BEGIN, whoever sent it."""

    dialect = "sqlite"

    async def check_open(self) -> None:
        if not self.user.in_transaction:
            raise UsageError('no transaction is open on this connection: begin with execute("BEGIN IMMEDIATE")')

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        try:
            return await super().run(statement, args, fetch=fetch)
        except sqlite3.OperationalError as error:
            lacking = missing_in(statement.text, lambda text: self.cursor().execute(text))
            raise lacking or error from error

    def begin(self) -> None:
        self.control("BEGIN IMMEDIATE")  # who asks for the write lock later may wait in vain

    def commit(self) -> None:
        self.control("COMMIT")

    def roll_back(self) -> None:
        if self.user.in_transaction:
            self.control("ROLLBACK")

    def cursor(self) -> Any:
        cursor = self.user.cursor(sqlite3.Cursor)
        cursor.row_factory = None
        return cursor

    def matched(self, statement: Compiled, cursor: Any) -> int:
        if cursor.rowcount < 0 and statement.text[:4].upper() == "WITH":
            # The driver counts no rows for WITH … UPDATE.
            return int(self.cursor().execute("SELECT changes()").fetchone()[0])
        return int(cursor.rowcount)
