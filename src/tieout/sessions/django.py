"""Django: what is inside `transaction.atomic`, on the connection that it keeps for this thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error

from tieout.contracts import Statement
from tieout.database.query import Compiled
from tieout.errors import ConfigError, DatabaseError, DatabaseUnavailable, StatementError, UsageError
from tieout.sessions.dbapi import DbapiTransaction
from tieout.sessions.failures import from_commit
from tieout.sessions.joined import Joined, Ran, tell

_DRIVERS = {
    "postgresql": ("psycopg", "PsycopgTransaction"),
    "mysql": ("mysql", "MysqlTransaction"),
    "sqlite": ("sqlite", "SqliteTransaction"),
}


class DjangoTransaction(Joined):
    """`django.db.connection`, or one of `django.db.connections`, inside `atomic`; steps find the ORM in it too."""

    blocking = True

    def __init__(self, user: Any) -> None:
        self.using: str = getattr(user, "_alias", None) or user.alias
        super().__init__(transaction.get_connection(self.using))
        self.dialect = {"postgresql": "postgres"}.get(self.user.vendor, self.user.vendor)
        self._driver: DbapiTransaction | None = None

    async def check_open(self) -> None:
        if not self.user.in_atomic_block:
            raise UsageError("no transaction is open on Django's connection: use `transaction.atomic()`")
        if self.user.needs_rollback:
            raise UsageError("this transaction has failed already: leave it")
        module, name = _DRIVERS.get(self.user.vendor, ("", ""))
        if not module or type(self.user.connection).__module__.startswith("psycopg2"):
            raise ConfigError("tieout can join Django's transactions on psycopg 3, MySQL and SQLite")
        self._driver = getattr(import_module(f"tieout.sessions.{module}"), name)(self.user.connection)

    @property
    def driver(self) -> DbapiTransaction:
        """The transaction as the driver below Django sees it."""
        if self._driver is None:
            raise UsageError("this transaction was not checked")
        return self._driver

    def free(self) -> None:
        """Give back what would outlive the transaction."""
        if self._driver is not None:
            self._driver.free()

    def compile(self, sql: str | Statement) -> Compiled:
        return self.driver.compile(sql)

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        return await self.driver.run(statement, args, fetch=fetch)

    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        await self.driver.run_many(statement, rows)

    async def set_savepoint(self) -> Savepoint:
        return Savepoint(self.using)

    async def release_savepoint(self, mark: Savepoint) -> None:
        if self.user.needs_rollback:
            raise StatementError("a statement failed unnoticed, and Django would roll back")
        mark.leave(None)

    async def undo_savepoint(self, mark: Savepoint) -> None:
        mark.leave(UndoError())

    def after_commit(self, call: Callable[[], object]) -> bool:
        transaction.on_commit(lambda: tell([call]), using=self.using)
        return True

    def translated(self, error: Exception) -> Exception:
        return self.failure(error, "step") if isinstance(error, Error) else error

    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        self.user.errors_occurred = True  # so that Django asks whether the connection is usable still
        # Django wraps what the driver raised, but for what has come from the driver directly.
        cause = error.__cause__ if isinstance(error, Error) and isinstance(error.__cause__, Exception) else error
        return self.driver.failure(cause, doing, text)


class DjangoSessions:
    """Each transaction in an `atomic` of its own: steps are given Django's connection, and the ORM writes in it too."""

    given: type = BaseDatabaseWrapper
    blocking = True

    def __init__(self, atomic: Callable[[], Any]) -> None:
        self._atomic = atomic

    async def begin(self) -> AtomicTransaction:
        """A transaction that has begun; raise `UsageError` inside one: it could not be committed."""
        atomic = self._atomic()
        connection = transaction.get_connection(atomic.using)
        is_new = connection.connection is None
        if not is_new and connection.settings_dict["CONN_MAX_AGE"] != 0:
            connection.close_if_unusable_or_obsolete()
        atomic.durable = True
        try:
            atomic.__enter__()
        except RuntimeError as error:
            raise UsageError("inside `atomic`, give its connection as tx=") from error
        except Error as error:
            raise DatabaseUnavailable(f"begin: {error}") from error
        own = AtomicTransaction(connection, atomic, is_new=is_new)
        try:
            await own.tx.check_open()
        except BaseException:
            await own.roll_back(interrupted=False)
            raise
        return own


class AtomicTransaction:
    """An `atomic`, begun and ended by us. A connection that was opened for it is kept for as long as Django says.

    Django closes a connection with an open transaction when a request begins: not this one, since the transaction may
    have been opened around the request.
    """

    def __init__(self, connection: Any, atomic: Any, *, is_new: bool) -> None:
        connection.close_if_unusable_or_obsolete = _leave_open
        self.tx = DjangoTransaction(connection)
        self._atomic = atomic
        self._is_new = is_new

    async def settle(self) -> None:
        """Raise what stands against a commit."""
        self.tx.check()
        if self.tx.user.needs_rollback:
            raise StatementError("a statement failed unnoticed, and Django would roll back")

    async def commit(self) -> None:
        """Commit; raise `CommitUnknown` when nobody knows whether that was done."""
        self.tx.end()
        try:
            self._atomic.__exit__(None, None, None)
        except Error as error:
            self.tx.user.close()
            raise from_commit(self.tx.dialect, error.__cause__ or error) from error
        finally:
            self._give_back()

    async def roll_back(self, *, interrupted: bool) -> None:
        """Undo all; close the connection when it may be in the middle of something."""
        self.tx.end()
        try:
            self._atomic.__exit__(UndoError, UndoError(), None)
        except Error:
            interrupted = True
        finally:
            if interrupted:
                self.tx.user.close()
            self._give_back()

    def _give_back(self) -> None:
        try:
            self.tx.free()
        except Exception:  # noqa: BLE001 - what is locked goes with the connection
            self.tx.user.close()
        del self.tx.user.close_if_unusable_or_obsolete
        if self._is_new:
            self.tx.user.close_if_unusable_or_obsolete()


def _leave_open() -> None:
    """What Django calls instead, to be found on this one connection for as long as our transaction is open."""


class UndoError(Exception):
    """Tells `atomic` to go back to its savepoint."""


class Savepoint:
    """A savepoint that Django knows of."""

    def __init__(self, using: str) -> None:
        self._atomic = transaction.atomic(using=using)
        self._atomic.__enter__()
        self._left = False

    def leave(self, error: Exception | None) -> None:
        """Release it, or with an error go back to it; once, since Django goes back by itself when it cannot release."""
        if not self._left:
            self._left = True
            self._atomic.__exit__(type(error) if error else None, error, None)
