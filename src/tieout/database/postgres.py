"""PostgreSQL. What happens on the wire is the driver's; all else is the same for both colours."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database.postgres_errors import (
    from_commit,
    from_postgres,
    is_refused_here,
    is_stale_statement,
    was_rolled_back,
)
from tieout.database.postgres_hosts import Dial, Hosts, Link, parse
from tieout.database.query import Compiled, compiled
from tieout.errors import (
    AppClosed,
    AppForked,
    CommitUnknown,
    DatabaseError,
    DatabaseReadOnly,
    DatabaseUnavailable,
    StaleEpoch,
    StatementError,
)

T = TypeVar("T")

Read: TypeAlias = Callable[[Any, str, tuple[Any, ...]], AsyncGenerator[T, None]]
"""Takes a statement's result from a connection, part by part."""

_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READ = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
_STREAM = f"{_READ}; SET LOCAL idle_in_transaction_session_timeout = '10min'"
"""A stream waits for whoever consumes it, and no longer than this for one batch."""
_COPY = f"{_STREAM}; SET LOCAL statement_timeout = 0"
"""One statement gives a whole table, however long that takes; the deadline is for each of its parts."""

_BEGIN_ATTEMPTS = 3
"""A pooled connection may have died unnoticed; the attempt after that opens a new one."""


class Pool(Protocol):
    """What a pool of links offers, on an event loop or to threads."""

    def time(self) -> float: ...
    def check_here(self) -> None: ...
    async def acquire(self) -> Link: ...
    def release(self, link: Link) -> None: ...
    def discard(self, link: Link) -> None: ...
    def retire(self) -> None: ...
    async def close(self) -> None: ...


class PostgresTransaction:
    """The transaction that work is given, on a connection that is its own until it ends."""

    __slots__ = ("_began_with", "_connection", "_depth", "_fresh", "_link", "_time", "error")

    dialect = "postgres"

    def __init__(self, link: Link, began_with: str, time: Callable[[], float]) -> None:
        self._link = link
        self._time = time
        self._connection = link.connection
        self._began_with = began_with
        self._fresh = True
        self._depth = 0
        self.error: DatabaseError | None = None

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        if self.error is not None:
            raise self.error
        statement = sql if isinstance(sql, Compiled) else compiled(sql, "postgres")
        args = statement.bind(params)
        try:
            status = await self._connection.execute(statement.text, *args)
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            status = await self._again(error, "execute", statement, args)
        self._fresh = False
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        self._check()
        statement = compiled(sql, "postgres")
        args: Sequence[Any] = statement.bind_all(rows)
        if not args:
            return
        method, args = ("execute", statement.columns(args)) if statement.lists else ("executemany", [args])
        try:
            await getattr(self._connection, method)(statement.text, *args)
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            await self._again(error, method, statement, args)
        self._fresh = False

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        if self.error is not None:
            raise self.error
        statement = sql if isinstance(sql, Compiled) else compiled(sql, "postgres")
        args = statement.bind(params)
        try:
            rows: Sequence[Row] = await self._connection.fetch(statement.text, *args)
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            rows = await self._again(error, "fetch", statement, args)
        self._fresh = False
        return rows

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        if self.error is not None:
            raise self.error
        statement = sql if isinstance(sql, Compiled) else compiled(sql, "postgres")
        args = statement.bind(params)
        try:
            row: Row | None = await self._connection.fetchrow(statement.text, *args)
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            row = await self._again(error, "fetchrow", statement, args)
        self._fresh = False
        return row

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check()
        self._depth += 1
        name = f"inner_{self._depth}"
        try:
            await self._control(f"SAVEPOINT {name}")
            try:
                result = await work(self)
                self._check()
            except Exception:
                if not self._connection.is_closed():  # else there is nothing to go back into
                    self.error = None
                    await self._control(f"ROLLBACK TO {name}; RELEASE {name}")
                raise
            except BaseException:  # who swallows it must not commit what was to be undone
                self.error = self.error or StatementError("a savepoint was interrupted: let that end the work")
                raise
            await self._control(f"RELEASE {name}")
            return result
        finally:
            self._depth -= 1

    async def be_patient(self) -> None:
        """Lift the deadline of this transaction, here and at the server: for migrations."""
        self._link.deadline = math.inf
        await self._control("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")

    def check(self) -> None:
        """Raise unless every statement succeeded, on what is still the newest primary."""
        self._check()
        if self._link.is_stale():
            raise StaleEpoch("a newer primary has been seen since this transaction began")

    def end(self) -> None:
        """Refuse every later statement: the connection belongs to somebody else now."""
        self.error = StatementError("this transaction has ended: use tx only inside the work that it was given to")

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    async def _control(self, text: str) -> None:
        try:
            await self._connection.execute(text)
        except Exception as error:
            is_lost = self._connection.is_closed()
            self.error = DatabaseUnavailable(f"{text}: {error}") if is_lost else from_postgres(error, text)
            raise self.error from error
        self._fresh = False

    async def _again(self, error: BaseException, method: str, statement: Compiled, args: Sequence[Any]) -> Any:
        """Run a first statement again when only its prepared form was stale; raise anything else, translated."""
        if not (self._fresh and is_stale_statement(error)):
            self._failed(error, statement)
        self._fresh = False
        try:
            await self._connection.execute("ROLLBACK")
            await self._connection.reload_schema_state()
            await self._connection.execute(self._began_with)
            return await getattr(self._connection, method)(statement.text, *args)
        except BaseException as again:  # noqa: BLE001 - it is raised, translated
            self._failed(again, statement)

    def _failed(self, error: BaseException, statement: Compiled) -> NoReturn:
        if not isinstance(error, Exception):
            # Cancelled in the middle of a statement: nobody knows whether it ran.
            self.error = DatabaseUnavailable(f"{statement.name}: interrupted")
            raise error
        self.error = from_postgres(error, statement.name, statement.text)
        if isinstance(self.error, DatabaseReadOnly) and self._began_with is not _WRITE:
            self.error = StatementError(f"{statement.name} writes, inside a read")
        if self._connection.is_closed():
            late = self._link.deadline < self._time()
            why = "no answer before the deadline" if late else f"the connection was lost: {error}"
            self.error = DatabaseUnavailable(f"{statement.name}: {why}", self.error.sqlstate)
        raise self.error from error


class PostgresDatabase:
    """A PostgreSQL server, or the primary among several; the URL's options are those of `postgres_hosts.Settings`.

    Transactions have a deadline, after which their connection is cut.
    """

    dialect = "postgres"

    def __init__(self, url: str, dial: Dial, new_pool: Callable[[Callable[[], Awaitable[Link]], int], Pool]) -> None:
        self._settings = parse(url)
        self._hosts = Hosts(self._settings, dial)
        self._new_pool = new_pool
        self._pool: Pool | None = None
        self._pid = 0

    @property
    def pool_limit(self) -> int:
        """The most connections that it opens."""
        return self._settings.pool

    @property
    def primary(self) -> str:
        """The server that the newest connection leads to, and on PostgreSQL its timeline; "" before the first."""
        return self._hosts.primary

    async def open(self) -> None:
        if self._pool is not None and self._pid == os.getpid():
            return
        pool = self._new_pool(self._hosts.connect, self._settings.pool)
        pool.release(await pool.acquire())
        self._pool, self._pid = pool, os.getpid()

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            await pool.close()

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        pool = self._opened()
        link = await self._begin(pool, _WRITE)
        tx = PostgresTransaction(link, _WRITE, pool.time)
        try:
            result = await work(tx)
            tx.check()
        except BaseException as error:
            await _undo(pool, link, tx, error)
            raise
        tx.end()
        try:
            status = await link.connection.execute("COMMIT")
        except BaseException as error:
            raise _commit_failed(pool, link, error) from error
        if link.doubt or status != "COMMIT":
            raise _doubtful(pool, link, status)
        pool.release(link)
        return result

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        pool = self._opened()
        link = await self._begin(pool, _READ)
        tx = PostgresTransaction(link, _READ, pool.time)
        try:
            result = await work(tx)
            tx.check()
        except BaseException as error:
            await _undo(pool, link, tx, error)
            raise
        await _undo(pool, link, tx, None)
        return result

    def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        return self._streamed(sql, params, partial(_fetched, batch), _STREAM)

    async def _streamed(
        self, sql: str | Statement, params: Mapping[str, Param], read: Read[T], begin: str
    ) -> AsyncGenerator[T, None]:
        """What `read` yields of a statement's result; the deadline does not count while the consumer is at work."""
        statement = compiled(sql, "postgres")
        args = statement.bind(params)
        pool = self._opened()
        link = await self._begin(pool, begin)
        try:
            async with aclosing(read(link.connection, statement.text, args)) as parts:
                async for part in parts:
                    link.deadline = math.inf
                    yield part
                    link.deadline = pool.time() + self._settings.deadline
        except Exception as error:
            pool.discard(link)
            raise from_postgres(error, statement.name, statement.text) from error
        except BaseException:
            pool.discard(link)
            raise
        await _undo(pool, link, PostgresTransaction(link, begin, pool.time), None)

    def _copied(
        self, sql: str | Statement, params: Mapping[str, Param], read: Read[bytes]
    ) -> AsyncGenerator[bytes, None]:
        return self._streamed(sql, params, read, _COPY)

    def _opened(self) -> Pool:
        pool = self._pool
        if pool is None:
            raise AppClosed("the database is not open")
        if self._pid != os.getpid():
            raise AppForked("the database was opened before a fork: open it in this process")
        pool.check_here()
        return pool

    async def _begin(self, pool: Pool, text: str) -> Link:
        """A link with a transaction begun on it; a connection that proves dead costs only another attempt."""
        attempt = 0
        while True:
            link = await pool.acquire()
            link.deadline = pool.time() + self._settings.connect_timeout
            attempt += 1
            try:
                await link.connection.execute(text)
            except Exception as error:
                _lose(pool, link)
                failure = from_postgres(error, "begin")
                if attempt == _BEGIN_ATTEMPTS:
                    raise failure from error
                # Whatever closed this one has probably closed the others.
                pool.retire()
            except BaseException:
                pool.discard(link)
                raise
            else:
                link.deadline = pool.time() + self._settings.deadline
                return link


async def _undo(pool: Pool, link: Link, tx: PostgresTransaction, error: BaseException | None) -> None:
    """Roll back and give the link back; never await a connection that may not answer, or on behalf of the cancelled."""
    failure = tx.error
    tx.end()
    if isinstance(failure, DatabaseReadOnly) or isinstance(error, StaleEpoch):
        _lose(pool, link)
        pool.retire()
        return
    if link.connection.is_closed():
        _lose(pool, link)
        return
    if error is not None and not isinstance(error, Exception):
        pool.discard(link)
        return
    try:
        await link.connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - the server rolls back when it sees that the connection is gone
        _lose(pool, link)
    except BaseException:
        pool.discard(link)
        raise
    else:
        pool.release(link)


def _lose(pool: Pool, link: Link) -> None:
    """Give back a link whose server is gone, silent or no primary; the next connection tries another host first."""
    link.leave()
    pool.discard(link)


def _commit_failed(pool: Pool, link: Link, error: BaseException) -> BaseException:
    if was_rolled_back(error):
        pool.release(link)
        return from_commit(error)
    if not isinstance(error, Exception):
        pool.discard(link)
        return error
    if is_refused_here(error) and not link.connection.is_closed():
        pool.discard(link)
        return StatementError("a statement has no answer yet: await each one before work returns")
    _lose(pool, link)
    return from_commit(error)


def _doubtful(pool: Pool, link: Link, status: str) -> DatabaseError:
    """The error for a COMMIT that the server answered, though not with a plain yes."""
    doubt, link.doubt = link.doubt, ""
    pool.release(link)
    if status != "COMMIT":
        return StatementError("a statement failed unnoticed, and the server has rolled back")
    return CommitUnknown(f"committed here, and perhaps not on the standby: {doubt}")


async def _fetched(
    batch: int, connection: Any, text: str, args: tuple[Any, ...]
) -> AsyncGenerator[Sequence[Row], None]:
    cursor = await connection.cursor(text, *args)
    while rows := await cursor.fetch(batch):
        yield rows
