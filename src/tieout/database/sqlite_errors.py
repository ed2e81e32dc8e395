"""SQLite's result codes as tieout's errors: by code, never by text."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tieout.database.query import Compiled
from tieout.errors import (
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

_EXTENDED: Mapping[int, type[DatabaseError]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_ROWID: UniqueViolation,
    sqlite3.SQLITE_BUSY_SNAPSHOT: RetryTransaction,
    sqlite3.SQLITE_IOERR_SHMSIZE: DatabaseFull,  # the shared-memory file could not grow
}

_PRIMARY: Mapping[int, type[DatabaseError]] = {
    sqlite3.SQLITE_BUSY: DatabaseUnavailable,
    sqlite3.SQLITE_LOCKED: DatabaseUnavailable,
    sqlite3.SQLITE_PROTOCOL: DatabaseUnavailable,
    sqlite3.SQLITE_CANTOPEN: DatabaseUnavailable,
    sqlite3.SQLITE_IOERR: DatabaseUnavailable,
    sqlite3.SQLITE_INTERRUPT: DatabaseUnavailable,
    sqlite3.SQLITE_NOMEM: DatabaseUnavailable,
    sqlite3.SQLITE_FULL: DatabaseFull,
    sqlite3.SQLITE_READONLY: DatabaseReadOnly,
    sqlite3.SQLITE_CONSTRAINT: ConstraintViolation,
    sqlite3.SQLITE_ERROR: StatementError,
    sqlite3.SQLITE_MISMATCH: StatementError,
    sqlite3.SQLITE_TOOBIG: StatementError,
    sqlite3.SQLITE_RANGE: StatementError,
    sqlite3.SQLITE_AUTH: StatementError,
}

_TIEOUT_TABLE = re.compile(r"\btieout_\w+\b(?!\s*\()")

FAULTS = (sqlite3.Error, OverflowError, UnicodeError, ValueError, TypeError)
"""What the driver raises: its own errors, and Python's for a value that it cannot bind."""


def from_sqlite(error: Exception, doing: str = "") -> DatabaseError:
    """The error to raise for what the driver raised; a value that cannot be bound is a `StatementError`."""
    code = getattr(error, "sqlite_errorcode", None)
    text = f"{doing}: {error}" if doing else str(error)
    if code is None:
        return StatementError(text)
    kind = _EXTENDED.get(code) or _PRIMARY.get(code & 0xFF, DatabaseError)
    return kind(text, getattr(error, "sqlite_errorname", ""))


def missing_table(connection: sqlite3.Connection, statement: Compiled) -> SchemaMismatch | None:
    """The error to raise when a statement failed since it names a table of tieout's that is not there.

    SQLite has no code for a missing table, so its catalogue is asked.
    """
    return missing_in(statement.text, connection.execute)


def missing_in(text: str, execute: Callable[[str], Iterable[Any]]) -> SchemaMismatch | None:
    """As `missing_table`, of the text of a statement; `execute` gives the rows of another."""
    wanted = set(_TIEOUT_TABLE.findall(text))
    if not wanted:
        return None
    missing = wanted - {name for (name,) in execute("SELECT name FROM sqlite_master")}
    if not missing:
        return None
    return SchemaMismatch(f"missing in the database: {', '.join(sorted(missing))}; run `tieout migrate`")
