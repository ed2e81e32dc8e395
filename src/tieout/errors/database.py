"""A database said no, or nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

from tieout.errors.root import TieoutError


class DatabaseError(TieoutError):
    """A database said no (failed: nothing was done) or nothing (unknown). `sqlstate` is its code, if it has one."""

    code = "database"
    outcome: ClassVar[Literal["failed", "unknown"]] = "failed"
    retryable: ClassVar[bool] = False  # whether the same transaction, run again, can succeed

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RetryTransaction(DatabaseError):
    """Deadlock or serialisation failure: everything was rolled back; run the transaction again."""

    code = "retry-transaction"
    retryable = True


class DatabaseUnavailable(DatabaseError):
    """No connection could be had, or it broke before COMMIT: nothing was done."""

    code = "database-unavailable"
    retryable = True


class DatabaseReadOnly(DatabaseError):
    """The server accepts no writes, perhaps since it became a standby: reconnect."""

    code = "database-read-only"
    retryable = True


class DatabaseFull(DatabaseError):
    """The database has no space: nothing was done."""

    code = "database-full"
    retryable = True


class StaleEpoch(DatabaseError):
    """The server's epoch is older than one already seen: an abandoned primary that must not be used."""

    code = "stale-epoch"
    retryable = True


class CommitUnknown(DatabaseError):
    """The answer to COMMIT was lost: it may have happened. Repeat the same work with the same key."""

    code = "commit-unknown"
    outcome = "unknown"
    retryable = True


class UniqueViolation(DatabaseError):
    """A row with this key exists."""

    code = "unique-violation"


class ConstraintViolation(DatabaseError):
    """A check, foreign key or not-null constraint refused the row."""

    code = "constraint-violation"


class StatementError(DatabaseError):
    """The statement itself is wrong: its text, its parameters or their types."""

    code = "statement"


class SchemaMismatch(DatabaseError):
    """The tables are missing or not those of this version: run `tieout migrate`."""

    code = "schema-mismatch"
