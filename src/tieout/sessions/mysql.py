"""PyMySQL, and what keeps to its ways: mysqlclient, when Django brings it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tieout.errors import UsageError
from tieout.sessions.dbapi import DbapiTransaction

FOUND_ROWS = 2
"""The client's flag for counting as every other database does."""

_IN_TRANSACTION = 1
"""The bit of the server's status that says so."""


class MysqlTransaction(DbapiTransaction):
    """A `pymysql.Connection` inside a transaction."""

    dialect = "mysql"

    async def check_open(self) -> None:
        if not self.user.server_status & _IN_TRANSACTION:
            raise UsageError("no transaction is open on this connection: begin one with `connection.begin()`")
        if not self.user.client_flag & FOUND_ROWS:
            raise UsageError("connect with client_flag=CLIENT.FOUND_ROWS: else counts are not of the rows that matched")

    def cursor(self) -> Any:
        driver = "pymysql" if hasattr(self.user, "server_status") else "MySQLdb"
        return self.user.cursor(import_module(f"{driver}.cursors").Cursor)
