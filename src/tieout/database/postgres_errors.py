"""PostgreSQL's and asyncpg's errors as tieout's: by SQLSTATE and by when they came, never by text."""

from __future__ import annotations

import asyncpg

from tieout.database.sqlstates import by_state, rolls_back_at_commit
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, RetryTransaction, StatementError

_WRONG_ADDRESS = {"28000", "28P01", "3D000"}
"""Refused user, wrong password, unknown database: waiting does not help."""


def from_postgres(error: BaseException, doing: str, text: str = "") -> DatabaseError:
    """The error to raise for what the driver raised before COMMIT; `text` is the statement that it came from."""
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error, doing, text)
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return RetryTransaction(f"{doing}: the schema has just changed")
    if isinstance(error, (OSError, asyncpg.InternalClientError)):
        return DatabaseUnavailable(f"{doing}: {error or type(error).__name__}")
    return StatementError(f"{doing}: {error}")


def _of_server(error: asyncpg.PostgresError, doing: str, text: str) -> DatabaseError:
    state: str = error.sqlstate or ""
    message = f"{doing}: {error}"
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return RetryTransaction(message, state)
    return by_state(state, message, text)


def from_commit(error: BaseException) -> DatabaseError:
    """The error to raise for what came instead of the answer to COMMIT: unknown, unless the server is explicit."""
    if was_rolled_back(error):
        return from_postgres(error, "commit")
    return CommitUnknown(f"no answer to COMMIT: {error or type(error).__name__}", getattr(error, "sqlstate", "") or "")


def was_rolled_back(error: BaseException) -> bool:
    """Whether the server says, at COMMIT, that it has rolled back; its connection is then as good as before."""
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, asyncpg.PostgresError) and rolls_back_at_commit(state)


def is_stale_statement(error: BaseException) -> bool:
    """Whether the server does not know the prepared statement any more, or knows it for another schema."""
    return isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.InvalidSQLStatementNameError))


def is_wrong_address(error: BaseException) -> bool:
    """Whether connecting failed in a way that only another URL, user or password can mend."""
    return isinstance(error, ValueError) or getattr(error, "sqlstate", None) in _WRONG_ADDRESS
