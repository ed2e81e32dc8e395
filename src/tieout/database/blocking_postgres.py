"""PostgreSQL for threads, through psycopg 3. Its coroutines never suspend."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Timer
from typing import Any, cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, PGconn, PollingStatus, abc
from psycopg.rows import tuple_row

from tieout.contracts import Row
from tieout.database.postgres import PostgresDatabase
from tieout.database.postgres_errors import state_of
from tieout.database.postgres_hosts import Check, Link, Settings, server_settings
from tieout.database.rows import row_kind
from tieout.database.thread_pool import ThreadPool
from tieout.errors import DatabaseUnavailable


class PsycopgConnection:
    """psycopg's connection under the names of asyncpg's methods that `postgres` uses."""

    __slots__ = ("_cursor", "connection")

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._cursor = psycopg.RawCursor(connection, row_factory=tuple_row)  # takes $1, as asyncpg does

    async def execute(self, text: str, *args: Any) -> str:
        """The status of the statement, such as "UPDATE 1"."""
        # What ends or begins a transaction is not worth preparing.
        self._run(text, args, prepare=None if args else False)
        return self._cursor.statusmessage or ""

    async def fetch(self, text: str, *args: Any) -> Sequence[Row]:
        self._run(text, args)
        return _rows(self._cursor)

    async def fetchrow(self, text: str, *args: Any) -> Row | None:
        rows = await self.fetch(text, *args)
        return rows[0] if rows else None

    async def executemany(self, text: str, args: Sequence[Sequence[Any]]) -> None:
        if args:
            self._cursor.executemany(text.encode(), args)

    async def cursor(self, text: str, *args: Any) -> Batches:
        """A result that stays at the server until it is fetched."""
        name = f"tieout_{id(self)}"
        self._run(f"DECLARE {name} NO SCROLL CURSOR FOR {text}", args)
        return Batches(self, name)

    async def reload_schema_state(self) -> None:
        """Nothing is kept of the schema but prepared statements, and those go with the connection."""

    def is_closed(self) -> bool:
        return self.connection.closed

    def terminate(self) -> None:
        self.interrupt()
        self.connection.close()

    def interrupt(self) -> None:
        """Make a thread that waits for an answer get an error."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def add_log_listener(self, listen: Callable[[Any, Any], None]) -> None:
        self.connection.add_notice_handler(lambda diagnostic: listen(self, Notice(diagnostic)))

    def _run(self, text: str, args: Sequence[Any], *, prepare: bool | None = None) -> None:
        try:
            self._cursor.execute(text.encode(), args or None, prepare=prepare)
        except psycopg.Error as error:
            if _is_stale(error):
                self.connection.close()
            raise


class Batches:
    """A result of the server's, fetched bit by bit."""

    def __init__(self, connection: PsycopgConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def fetch(self, count: int) -> Sequence[Row]:
        """The next rows, at most `count`."""
        return await self._connection.fetch(f"FETCH {count} FROM {self._name}")


class Notice:
    """What the server told beside its answer."""

    def __init__(self, diagnostic: Any) -> None:
        self.server_source_function: str | None = diagnostic.source_function
        self._message = diagnostic.message_primary

    def __str__(self) -> str:
        return str(self._message)


def _rows(cursor: Any) -> Sequence[Row]:
    if cursor.description is None:
        return []
    kind = row_kind(tuple([column.name for column in cursor.description]))
    return [kind(row) for row in cursor.fetchall()]


def _is_stale(error: psycopg.Error) -> bool:
    """Whether a prepared statement is gone, or is for another schema: psycopg would send it again and again."""
    return state_of(error) == "26000" or error.diag.source_function == "RevalidateCachedQuery"


def _connected(conninfo: str, seconds: float) -> abc.PGconn:
    """A connection of libpq's within so many seconds; psycopg's own way takes two at least from a frozen server.

    Raise `TimeoutError`, or psycopg's `OperationalError`.
    """
    wire = PGconn.connect_start(conninfo.encode())
    ends = time.monotonic() + seconds
    while (status := wire.connect_poll()) != PollingStatus.OK:
        if status == PollingStatus.FAILED or wire.status == ConnStatus.BAD:
            raise psycopg.OperationalError(f"connection failed: {wire.error_message.decode(errors='replace').strip()}")
        poll = select.poll()
        poll.register(wire.socket, select.POLLIN if status == PollingStatus.READING else select.POLLOUT)
        if not poll.poll(max(0.0, ends - time.monotonic()) * 1_000):
            wire.finish()
            raise TimeoutError
    wire.nonblocking = 1
    return wire


async def dial(settings: Settings, dsn: str, check: Check) -> Link:
    """Connect and check, each within the connect time-out."""
    options = " ".join(f"-c {name}={_escaped(value)}" for name, value in server_settings(settings).items())
    connection = psycopg.Connection(_connected(make_conninfo(dsn, options=options), settings.connect_timeout))
    connection.autocommit = True  # we begin and end transactions ourselves
    connection.prepare_threshold = 5 if settings.statement_cache else None
    wire = PsycopgConnection(connection)
    wire.connection.prepared_max = settings.statement_cache
    watch = Timer(settings.connect_timeout, wire.interrupt)
    watch.daemon = True
    watch.start()
    try:
        return await check(wire)
    except BaseException as error:
        wire.terminate()
        if watch.finished.is_set() and isinstance(error, psycopg.Error):
            raise DatabaseUnavailable(f"no answer in {settings.connect_timeout:g} s") from error
        raise
    finally:
        watch.cancel()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


class PostgresInThreads(PostgresDatabase):
    """Used from any thread; every transaction blocks the thread that runs it."""

    def __init__(self, url: str) -> None:
        super().__init__(url, cast("Any", dial), ThreadPool)
