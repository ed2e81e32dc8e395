"""PostgreSQL's errors and its drivers' as tieout's: by SQLSTATE and by when they came, never by text."""

from __future__ import annotations

from tieout.database.sqlstates import by_state, rolls_back_at_commit
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, RetryTransaction, StatementError

_WRONG_ADDRESS = {"28000", "28P01", "3D000"}
"""Refused user, wrong password, unknown database: waiting does not help."""

_LOST = {"InternalClientError", "OperationalError"}
"""What asyncpg and psycopg raise, without a code of the server's, when the connection is gone or makes no sense."""

_STALE = {"InvalidCachedStatementError", "InvalidSQLStatementNameError"}
"""What asyncpg raises for a prepared statement that has to be prepared anew."""


def from_postgres(error: BaseException, doing: str, text: str = "") -> DatabaseError:
    """The error to raise for what the driver raised before COMMIT; `text` is the statement that it came from."""
    state, message = state_of(error), f"{doing}: {error or type(error).__name__}"
    if type(error).__name__ in {"InvalidCachedStatementError", "OutdatedSchemaCacheError"}:
        return RetryTransaction(message, state)
    if state:
        return by_state(state, message, text)
    if isinstance(error, OSError) or _LOST & {kind.__name__ for kind in type(error).__mro__}:
        return DatabaseUnavailable(message)
    return StatementError(message)


def from_commit(error: BaseException) -> DatabaseError:
    """The error to raise for what came instead of the answer to COMMIT: unknown, unless the server is explicit."""
    if was_rolled_back(error):
        return from_postgres(error, "commit")
    return CommitUnknown(f"no answer to COMMIT: {error or type(error).__name__}", state_of(error))


def was_rolled_back(error: BaseException) -> bool:
    """Whether the server says, at COMMIT, that it has rolled back; its connection is then as good as before."""
    return rolls_back_at_commit(state_of(error))


def is_refused_here(error: BaseException) -> bool:
    """Whether the driver has refused a statement on an open connection, and sent nothing: it waits for another's."""
    return type(error).__name__ == "InterfaceError" and not state_of(error)


def is_stale_statement(error: BaseException) -> bool:
    """Whether the server does not know the prepared statement any more, or knows it for another schema."""
    return type(error).__name__ in _STALE


def is_wrong_address(error: BaseException) -> bool:
    """Whether connecting failed in a way that only another URL, user or password can mend."""
    return isinstance(error, ValueError) or state_of(error) in _WRONG_ADDRESS


def state_of(error: BaseException) -> str:
    """The server's SQLSTATE, as either driver keeps it; "" without one."""
    return str(getattr(error, "sqlstate", None) or "")
