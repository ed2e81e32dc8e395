"""MySQL and MariaDB. What happens on the wire is the driver's; all else is the same for both colours."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database.mysql_errors import from_commit, from_mysql, is_of_statement, was_rolled_back
from tieout.database.mysql_hosts import Dial, Hosts, Link
from tieout.database.mysql_prepared import run_prepared
from tieout.database.mysql_server import be_patient, parse
from tieout.database.mysql_text import count_of, render, rows_of
from tieout.database.query import Compiled, compiled
from tieout.database.rows import row_kind
from tieout.errors import (
    AppClosed,
    AppForked,
    DatabaseError,
    DatabaseReadOnly,
    DatabaseUnavailable,
    RetryTransaction,
    StaleEpoch,
    StatementError,
)

T = TypeVar("T")

_READ = b"START TRANSACTION READ ONLY"
_WRITE = b"START TRANSACTION"
_UNLOCK = b"DO RELEASE_ALL_LOCKS()"

_BEGIN_ATTEMPTS = 3
"""A pooled connection may have died unnoticed; the attempt after that opens a new one."""

PROBE_AFTER = 1.0
"""Seconds after which an idle connection is first asked whether it still answers; before, no BEGIN is sent at all."""

BULK_BYTES = 1_000_000
"""Most bytes of statements that are sent at a time: far below any server's `max_allowed_packet`."""


class Pool(Protocol):
    """What a pool of links offers, on an event loop or to threads."""

    def time(self) -> float: ...
    def check_here(self) -> None: ...
    async def acquire(self) -> Link: ...
    def release(self, link: Link) -> None: ...
    def discard(self, link: Link) -> None: ...
    def retire(self) -> None: ...
    async def close(self) -> None: ...


class Last(NamedTuple):
    """The statement that a transaction ends with, and its text."""

    statement: Compiled
    text: bytes


class MySqlTransaction:
    """The transaction that work is given, on a connection that is its own until it ends.

    A statement that changes tables (CREATE, ALTER, DROP) commits all before it, and cannot be rolled back.
    """

    __slots__ = ("_depth", "_link", "_query", "_reading", "database", "error", "last", "touched")

    dialect = "mysql"

    def __init__(self, link: Link, *, reading: bool = False) -> None:
        self._link = link
        self._query = link.query
        self.database = link.database
        self._reading = reading
        self._depth = 0
        self.last: Last | None = None
        self.touched = reading
        self.error: DatabaseError | None = None

    async def conclude(self, sql: str | Statement, /, **params: Param) -> None:
        """Run it at the end, in one message with COMMIT: `transact` raises what comes of it."""
        self._check()
        statement = compiled(sql, "mysql")
        self.last = Last(statement, render(statement, params))

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        return count_of(await self._run(sql, params))

    async def execute_prepared(self, sql: str | Statement, /, **params: Param) -> int:
        """As `execute`, for what is run again and again: MariaDB takes it apart once for each connection."""
        self._check()
        statement = compiled(sql, "mysql")
        self.touched = True
        try:
            result = await run_prepared(self._link, statement, params)
        except StatementError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            self._failed(error, statement)
        return await self.execute(statement, **params) if result is None else count_of(result)

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        self._check()
        statement = compiled(sql, "mysql")
        bulk: list[bytes] = []
        size = 0
        for row in rows:
            bulk.append(render(statement, row))
            size += len(bulk[-1])
            if size > BULK_BYTES:
                await self._send(statement, b";".join(bulk))
                bulk, size = [], 0
        if bulk:
            await self._send(statement, b";".join(bulk))

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        return rows_of(await self._run(sql, params))

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        rows = rows_of(await self._run(sql, params))
        return rows[0] if rows else None

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
                # After a deadlock there is no transaction to go back into.
                if not isinstance(self.error, (RetryTransaction, DatabaseUnavailable)):
                    self.error = None
                    await self._control(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
                raise
            except BaseException:  # who swallows it must not commit what was to be undone
                self.error = self.error or StatementError("a savepoint was interrupted: let that end the work")
                raise
            await self._control(f"RELEASE SAVEPOINT {name}")
            return result
        finally:
            self._depth -= 1

    async def be_patient(self) -> None:
        """Lift the deadlines of this transaction and its connection, which is then not used again: for migrations."""
        self._link.deadline = math.inf
        self._link.retire_at = -math.inf
        await self._control(be_patient(self._link.server.flavour).decode())

    def check(self) -> None:
        """Raise unless every statement succeeded, on what is still the primary."""
        self._check()
        if self._link.is_stale():
            raise StaleEpoch("another primary has been seen since this transaction began")

    def end(self) -> None:
        """Refuse every later statement: the connection belongs to somebody else now."""
        self.error = StatementError("this transaction has ended: use tx only inside the work that it was given to")

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    async def _run(self, sql: str | Statement, params: Mapping[str, Param]) -> Any:
        if self.error is not None:  # not through _check: this is the hot path
            raise self.error
        statement = sql if isinstance(sql, Compiled) else compiled(sql, "mysql")
        text = render(statement, params)
        if b"GET_LOCK(" in text:
            self._link.has_locks = True
        return await self._send(statement, text)

    async def _send(self, statement: Compiled, text: bytes) -> Any:
        self.touched = True
        try:
            return await self._query(text)
        except BaseException as error:  # noqa: BLE001 - it is raised, translated
            self._failed(error, statement)

    async def _control(self, text: str) -> None:
        self.touched = True
        try:
            await self._query(text.encode())
        except Exception as error:
            self.error = from_mysql(error, text)
            raise self.error from error

    def _failed(self, error: BaseException, statement: Compiled) -> NoReturn:
        if not isinstance(error, Exception):
            # Cancelled in the middle of a statement: nobody knows whether it ran.
            self.error = DatabaseUnavailable(f"{statement.name}: interrupted")
            raise error
        self.error = from_mysql(error, statement.name, statement.text)
        raise self.error from error


class MySqlDatabase:
    """A MySQL or MariaDB server, or the primary among several; the URL's options are those of `mysql_server.Settings`.

    Transactions have a deadline, after which their connection is cut.
    """

    dialect = "mysql"

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
        try:
            pool.release(await pool.acquire())
        except BaseException:
            await pool.close()
            raise
        self._pool, self._pid = pool, os.getpid()

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            await pool.close()

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        pool = self._opened()
        link = await self._begin(pool, _WRITE)
        tx = MySqlTransaction(link)
        try:
            result = await work(tx)
            tx.check()
        except BaseException as error:
            await _undo(pool, link, tx, error)
            raise
        tx.end()
        if tx.touched:
            try:
                await link.query(_ending(b"COMMIT", link, tx.last))
            except BaseException as error:
                raise await _commit_failed(pool, link, tx, error) from error
        _give_back(pool, link)
        return result

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        pool = self._opened()
        link = await self._begin(pool, _READ)
        tx = MySqlTransaction(link, reading=True)
        try:
            result = await work(tx)
            tx.check()
        except BaseException as error:
            await _undo(pool, link, tx, error)
            raise
        await _undo(pool, link, tx, None)
        return result

    async def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        statement = compiled(sql, "mysql")
        text = render(statement, params)
        pool = self._opened()
        link = await self._begin(pool, _READ)
        try:
            await link.query(be_patient(link.server.flavour))
            async for names, rows in link.wire.stream(text, batch):
                kind = row_kind(tuple(names))
                link.deadline = math.inf
                yield [kind(row) for row in rows]
                link.deadline = pool.time() + self._settings.deadline
        except Exception as error:
            raise from_mysql(error, statement.name, statement.text) from error
        finally:
            # Its deadlines are lifted, and perhaps it was left in the middle of a result.
            pool.discard(link)

    def _opened(self) -> Pool:
        pool = self._pool
        if pool is None:
            raise AppClosed("the database is not open")
        if self._pid != os.getpid():
            raise AppForked("the database was opened before a fork: open it in this process")
        pool.check_here()
        return pool

    async def _begin(self, pool: Pool, text: bytes) -> Link:
        """A link ready for a transaction; a connection that proves dead costs only another attempt."""
        attempt = 0
        while True:
            link = await pool.acquire()
            now = pool.time()
            if text is _WRITE and now < link.idle_since + PROBE_AFTER:
                link.deadline = now + self._settings.deadline
                return link
            link.deadline = now + self._settings.connect_timeout
            attempt += 1
            try:
                await link.query(text)
            except Exception as error:
                _lose(pool, link)
                if attempt == _BEGIN_ATTEMPTS:
                    raise from_mysql(error, "begin") from error
                # Whatever closed this one has probably closed the others.
                pool.retire()
            except BaseException:
                pool.discard(link)
                raise
            else:
                link.deadline = pool.time() + self._settings.deadline
                return link


def _ending(text: bytes, link: Link, last: Last | None = None) -> bytes:
    """How a transaction ends: with its last statement, and its locks of GET_LOCK go with it, once it is committed.

    The server answers each of several statements by itself, and each answer wakes us: MariaDB takes all as one.
    """
    if not (link.has_locks or last):
        return text
    whole = b"; ".join([*([last.text] if last else ()), text, *([_UNLOCK] if link.has_locks else ())])
    return b"BEGIN NOT ATOMIC " + whole + b"; END" if link.server.flavour == "MariaDB" else whole


def _give_back(pool: Pool, link: Link) -> None:
    link.has_locks = False
    link.idle_since = pool.time()
    pool.release(link)


async def _undo(pool: Pool, link: Link, tx: MySqlTransaction, error: BaseException | None) -> None:
    """Roll back and give the link back; never await a connection that may not answer, or on behalf of the cancelled."""
    failure = tx.error
    tx.end()
    if isinstance(failure, DatabaseReadOnly) or isinstance(error, StaleEpoch):
        _lose(pool, link)
        pool.retire()
        return
    if not link.wire.is_open():
        _lose(pool, link)
        return
    if link.wire.is_busy or (error is not None and not isinstance(error, Exception)):
        pool.discard(link)
        return
    try:
        await link.query(_ending(b"ROLLBACK", link))
    except Exception:  # noqa: BLE001 - the server rolls back when it sees that the connection is gone
        _lose(pool, link)
    except BaseException:
        pool.discard(link)
        raise
    else:
        _give_back(pool, link)


def _lose(pool: Pool, link: Link) -> None:
    """Give back a link whose server is gone, silent or no primary; the next connection tries another host first."""
    link.leave()
    pool.discard(link)


async def _commit_failed(pool: Pool, link: Link, tx: MySqlTransaction, error: BaseException) -> BaseException:
    if not isinstance(error, Exception) or isinstance(error, StatementError):  # so COMMIT was not sent
        pool.discard(link)
        return error
    if tx.last and is_of_statement(error):  # so COMMIT, behind it, was not run
        await _undo(pool, link, tx, error)
        return from_mysql(error, tx.last.statement.name, tx.last.statement.text)
    _lose(pool, link)
    if was_rolled_back(error):
        pool.retire()
    return from_commit(error)
