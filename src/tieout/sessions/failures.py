"""What drivers raise as tieout's errors, whichever driver it is: by SQLSTATE, number or result code, never by text."""

from __future__ import annotations

import sqlite3
from typing import Any

from tieout.database import mysql_errors
from tieout.database.sqlite_errors import from_sqlite
from tieout.database.sqlstates import by_state, rolls_back_at_commit
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, RetryTransaction, StatementError

_LOST = {"InterfaceError", "OperationalError"}
"""What a DB-API driver raises, without a code of the server's, when the connection is gone."""

_UNBOUND = (OverflowError, TypeError, ValueError)
"""What a driver raises for a value that it cannot send."""

_CERTAIN = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_READONLY}
"""Codes of a failed COMMIT after which nothing can come to light later: its last page was never written."""


def from_driver(dialect: str, error: BaseException, doing: str, text: str = "") -> DatabaseError:
    """The error to raise for what a driver raised before COMMIT; `text` is the statement that it came from."""
    if isinstance(error, _UNBOUND):
        return StatementError(f"{doing}: {error}")
    if dialect == "sqlite" and isinstance(error, Exception):
        return from_sqlite(error, doing)
    if dialect == "mysql":
        return mysql_errors.from_mysql(error, doing, text)
    state = state_of(error)
    if type(error).__name__ == "InvalidCachedStatementError":
        return RetryTransaction(f"{doing}: {error}", state)
    if state:
        return by_state(state, f"{doing}: {error}", text)
    if isinstance(error, OSError) or _LOST & {kind.__name__ for kind in type(error).__mro__}:
        return DatabaseUnavailable(f"{doing}: {error or type(error).__name__}")
    return StatementError(f"{doing}: {error}")


def from_commit(dialect: str, error: BaseException) -> DatabaseError:
    """The error to raise for what came instead of the answer to COMMIT: unknown, unless the server is explicit."""
    if _is_certain(dialect, error):
        return from_driver(dialect, error, "commit")
    return CommitUnknown(f"no answer to COMMIT: {error or type(error).__name__}", state_of(error))


def state_of(error: BaseException) -> str:
    """The server's code of an error, as the driver keeps it; "" without one."""
    state: Any = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return str(state or "")


def _is_certain(dialect: str, error: BaseException) -> bool:
    if dialect == "sqlite":
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CERTAIN
    if dialect == "mysql":
        return mysql_errors.was_rolled_back(error)
    return rolls_back_at_commit(state_of(error))
