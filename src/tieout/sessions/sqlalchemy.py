"""SQLAlchemy: sessions and connections, blocking and not, on whichever driver they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import event, exc
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from tieout.contracts import Statement
from tieout.database.query import Compiled, compiled
from tieout.database.sqlite_errors import missing_in
from tieout.errors import ConfigError, DatabaseError, DatabaseUnavailable, StatementError, UsageError
from tieout.sessions.failures import from_driver
from tieout.sessions.joined import Joined, Ran, of_rows, of_write, tell
from tieout.sessions.values import with_percent

T = TypeVar("T")

_HOOKS = "tieout.after_commit"
"""Under which name a session keeps what is to be called after its commit."""

_DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}


class SqlalchemyTransaction(Joined):
    """A `Session` or `Connection` inside a transaction.

    Statements go to the driver as they are. What the session has not flushed yet goes before them.
    """

    blocking = True

    def __init__(self, user: Any, owner: Session | Connection) -> None:
        super().__init__(user)
        self.owner = owner
        self._numbered = False

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """What a function of the blocking API returns."""
        return function(*args)

    def connection(self) -> Connection:
        """The connection of this transaction."""
        return self.owner.connection() if isinstance(self.owner, Session) else self.owner

    def learn(self) -> None:
        """Learn which driver it is; raise `ConfigError` for a database that tieout does not know."""
        dialect = self.connection().dialect
        if dialect.name not in _DIALECTS:
            raise ConfigError(f"tieout knows no database that SQLAlchemy calls {dialect.name!r}")
        self.dialect = _DIALECTS[dialect.name]
        self._numbered = dialect.driver == "asyncpg"

    async def check_open(self) -> None:
        if not self.owner.in_transaction():
            kind = "session" if isinstance(self.owner, Session) else "connection"
            raise UsageError(f"no transaction is open in this {kind}: use `{kind}.begin()`")
        await self.call(self._check_driver)

    def compile(self, sql: str | Statement) -> Compiled:
        statement = compiled(sql, self.dialect)
        return with_percent(statement) if self.dialect == "postgres" and not self._numbered else statement

    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        return await self.call(self._run, statement, tuple(args))

    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        await self.call(self._run, statement, [tuple(row) for row in rows])

    async def set_savepoint(self) -> Any:
        return await self.call(self.owner.begin_nested)

    async def release_savepoint(self, mark: Any) -> None:
        await self.call(mark.commit)

    async def undo_savepoint(self, mark: Any) -> None:
        await self.call(mark.rollback)

    async def flush(self) -> None:
        """Send what the session has kept back so far."""
        if isinstance(self.owner, Session):
            await self._tried(self.call(self.owner.flush))

    def after_commit(self, call: Callable[[], object]) -> bool:
        if not isinstance(self.owner, Session):
            return False
        hooks: _AfterCommit = self.owner.info.get(_HOOKS) or _AfterCommit(self.owner)
        self.owner.info[_HOOKS] = hooks
        hooks.calls.append(call)
        return True

    def translated(self, error: Exception) -> Exception:
        return self.failure(error, "step") if isinstance(error, (exc.DBAPIError, exc.TimeoutError)) else error

    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        if isinstance(error, exc.DBAPIError) and error.orig is not None:
            if error.connection_invalidated:
                return DatabaseUnavailable(f"{doing}: the connection was lost: {error.orig}")
            return from_driver(self.dialect, error.orig, doing, text)
        if isinstance(error, (exc.TimeoutError, OSError)):
            return DatabaseUnavailable(f"{doing}: {error or type(error).__name__}")
        return StatementError(f"{doing}: {error}")

    def _check_driver(self) -> None:
        self.learn()
        begin_at_server(self.connection(), "BEGIN")

    def _run(self, statement: Compiled, args: Any) -> Ran:
        if isinstance(self.owner, Session):
            self.owner.flush()
        connection = self.connection()
        try:
            result = connection.exec_driver_sql(statement.text, args)
        except exc.OperationalError as error:
            if self.dialect == "sqlite" and (lacking := missing_in(statement.text, connection.exec_driver_sql)):
                raise lacking from error
            raise
        if result.returns_rows:
            return of_rows(result.keys(), result.fetchall())
        return of_write(self.dialect, result.rowcount, result.lastrowid if self.dialect == "mysql" else None)


class AsyncSqlalchemyTransaction(SqlalchemyTransaction):
    """An `AsyncSession` or `AsyncConnection` inside a transaction."""

    blocking = False

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        running: Any = self.user.run_sync(lambda _: function(*args))
        return await (_to_its_end(running) if self.dialect == "sqlite" else running)


def transaction_of(user: Any) -> Joined:
    """The transaction of a session or connection, or of what stands for one; raise `UsageError` for anything else."""
    if isinstance(user, (scoped_session, async_scoped_session)):
        user = user()
    match user:
        case AsyncSession():
            return AsyncSqlalchemyTransaction(user, user.sync_session)
        case AsyncConnection(sync_connection=Connection() as connection):
            return AsyncSqlalchemyTransaction(user, connection)
        case Session() | Connection():
            return SqlalchemyTransaction(user, user)
    raise UsageError(f"tx= takes SQLAlchemy's sessions and open connections, not this {type(user).__name__}")


class _AfterCommit:
    """Functions to call once a session's present transaction is committed; forgotten when it is rolled back.

    It stays with the session: SQLAlchemy lets no listener go while it is being called.
    """

    def __init__(self, session: Session) -> None:
        self.calls: list[Callable[[], object]] = []
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_transaction_end", self._ended)

    def _committed(self, session: Session) -> None:
        # Savepoints are committed too.
        if not session.in_nested_transaction():
            calls, self.calls = self.calls, []
            tell(calls)

    def _ended(self, _: Session, transaction: Any) -> None:
        if transaction.parent is None:
            self.calls.clear()


async def _to_its_end(running: Awaitable[T]) -> T:
    """What it returns; on behalf of who is cancelled meanwhile it is waited for too.

    SQLAlchemy closes a connection whose statement was interrupted, without a rollback; while anybody still refers to a
    cursor, SQLite then keeps the lock.
    """
    task = asyncio.ensure_future(running)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def begin_at_server(connection: Connection, sqlite: str) -> None:
    """Make sure that the driver commits nothing by itself; raise `UsageError` when it does.

    In SQLite a transaction is begun at once, by the statement `sqlite`: the driver would wait for the first write, and
    takes a savepoint for none.
    """
    driver: Any = connection.connection.driver_connection
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite and driver.in_transaction:
        return
    if driver.isolation_level is None if is_sqlite else _commits_by_itself(connection):
        raise UsageError("this connection is in autocommit: nothing on it waits for a commit")
    if is_sqlite:
        connection.exec_driver_sql(sqlite)


def _commits_by_itself(connection: Connection) -> bool:
    try:
        driver: Any = connection.connection.dbapi_connection
        return connection.dialect.detect_autocommit_setting(driver)
    except NotImplementedError:
        return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
