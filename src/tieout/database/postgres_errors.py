"""PostgreSQL's and asyncpg's errors as tieout's: by SQLSTATE and by when they came, never by text."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from tieout.errors import (
    CommitUnknown,
    ConstraintViolation,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    RetryTransaction,
    SchemaMismatch,
    StatementError,
    UniqueViolation,
)

_STATES: Mapping[str, type[DatabaseError]] = {
    "0A000": StatementError,
    "23505": UniqueViolation,
    "25001": StatementError,
    "25006": DatabaseReadOnly,
    "25P01": StatementError,
    "25P02": StatementError,
    "26000": RetryTransaction,  # the pooler between us gave another server: it does not know our statement
    "40003": CommitUnknown,
    "53100": DatabaseFull,
    "55006": RetryTransaction,
    "55P03": RetryTransaction,
}

_CLASSES: Mapping[str, type[DatabaseError]] = {
    "08": DatabaseUnavailable,
    "21": StatementError,
    "22": StatementError,
    "23": ConstraintViolation,
    "25": DatabaseUnavailable,  # idle in transaction, or in it for too long: the server has closed the connection
    "40": RetryTransaction,
    "42": StatementError,
    "44": ConstraintViolation,
    "53": DatabaseUnavailable,
    "54": StatementError,
    "57": DatabaseUnavailable,
    "58": DatabaseUnavailable,
}

_MISSING = {"42P01", "42703", "42883", "42P10"}
"""A table, column, function or conflict target that does not exist."""

_ROLLED_BACK_AT_COMMIT = {"22", "23", "40", "42", "44", "P0"}
"""Classes that a deferred constraint or its trigger raises: the server has rolled back and says so."""

_WRONG_ADDRESS = {"28000", "28P01", "3D000"}
"""Refused user, wrong password, unknown database: waiting does not help."""


def from_postgres(error: BaseException, doing: str, text: str = "") -> DatabaseError:
    """The error to raise for what the driver raised before COMMIT; `text` is the statement that it came from."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_state(error, doing, text)
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return RetryTransaction(f"{doing}: the schema has just changed")
    if isinstance(error, (OSError, asyncpg.InternalClientError)):
        return DatabaseUnavailable(f"{doing}: {error or type(error).__name__}")
    return StatementError(f"{doing}: {error}")


def _by_state(error: asyncpg.PostgresError, doing: str, text: str) -> DatabaseError:
    state: str = error.sqlstate or ""
    kind = _STATES.get(state) or _CLASSES.get(state[:2], DatabaseError)
    message = f"{doing}: {error}"
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        kind = RetryTransaction
    elif state in _MISSING and "tieout_" in text:
        kind, message = SchemaMismatch, f"{message}; run `tieout migrate`"
    return kind(message, state)


def from_commit(error: BaseException) -> DatabaseError:
    """The error to raise for what came instead of the answer to COMMIT: unknown, unless the server is explicit."""
    if was_rolled_back(error):
        return from_postgres(error, "commit")
    return CommitUnknown(f"no answer to COMMIT: {error or type(error).__name__}", getattr(error, "sqlstate", "") or "")


def was_rolled_back(error: BaseException) -> bool:
    """Whether the server says, at COMMIT, that it has rolled back; its connection is then as good as before."""
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, asyncpg.PostgresError) and state[:2] in _ROLLED_BACK_AT_COMMIT and state != "40003"


def is_stale_statement(error: BaseException) -> bool:
    """Whether the server does not know the prepared statement any more, or knows it for another schema."""
    return isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.InvalidSQLStatementNameError))


def is_wrong_address(error: BaseException) -> bool:
    """Whether connecting failed in a way that only another URL, user or password can mend."""
    return isinstance(error, ValueError) or getattr(error, "sqlstate", None) in _WRONG_ADDRESS
