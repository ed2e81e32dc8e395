"""PostgreSQL's SQLSTATEs as tieout's errors, whichever driver brings them: by code, never by text."""

from __future__ import annotations

from collections.abc import Mapping

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


def by_state(state: str, message: str, text: str = "") -> DatabaseError:
    """The error to raise for a SQLSTATE that came before COMMIT; `text` is the statement that it came from."""
    if state in _MISSING and "tieout_" in text:
        return SchemaMismatch(f"{message}; run `tieout migrate`", state)
    kind = _STATES.get(state) or _CLASSES.get(state[:2], DatabaseError)
    return kind(message, state)


def rolls_back_at_commit(state: str) -> bool:
    """Whether a SQLSTATE that came at COMMIT says that the server has rolled back."""
    return state[:2] in _ROLLED_BACK_AT_COMMIT and state != "40003"
