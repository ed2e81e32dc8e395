"""PyMySQL, and what keeps to its ways: mysqlclient, when Django brings it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from tieout.database.query import Compiled
from tieout.errors import UsageError
from tieout.sessions.dbapi import DbapiTransaction
from tieout.sessions.joined import Ran

OUR_LOCK = "GET_LOCK(MD5(CONCAT('tieout "
"""How a statement of tieout's reads that takes a lock, which belongs to the connection."""

_FREE = "DO RELEASE_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(%s))))"

FOUND_ROWS = 2
"""The client's flag for counting as every other database does."""

_IN_TRANSACTION = 1
"""The bit of the server's status that says so."""


class MysqlTransaction(DbapiTransaction):
    """A `pymysql.Connection` inside a transaction."""

    dialect = "mysql"

    def __init__(self, user: Any) -> None:
        super().__init__(user)
        self._locks: list[Any] = []

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        if OUR_LOCK in statement.text:
            self._locks.append(args[0])
        return await super().run(statement, args, fetch=fetch)

    def free(self) -> None:
        """Give back our locks, and nobody else's: a connection that lives on would keep them."""
        while self._locks:
            cursor = self.cursor()
            cursor.execute(_FREE, [self._locks.pop()])
            cursor.close()

    async def check_open(self) -> None:
        if not self.user.server_status & _IN_TRANSACTION:
            raise UsageError("no transaction is open on this connection: begin one with `connection.begin()`")
        if not self.user.client_flag & FOUND_ROWS:
            raise UsageError("connect with client_flag=CLIENT.FOUND_ROWS: else counts are not of the rows that matched")

    def cursor(self) -> Any:
        driver = "pymysql" if hasattr(self.user, "server_status") else "MySQLdb"
        return self.user.cursor(import_module(f"{driver}.cursors").Cursor)
