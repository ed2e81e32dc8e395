"""MySQL and MariaDB for threads, through PyMySQL. Its coroutines never suspend."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import pymysql
from pymysql.constants.CLIENT import FOUND_ROWS, MULTI_STATEMENTS
from pymysql.cursors import SSCursor

from tieout.database.mysql import MySqlDatabase
from tieout.database.mysql_errors import STILL_RUNNING
from tieout.database.mysql_hosts import Link, Prepare
from tieout.database.mysql_server import Address, Settings
from tieout.database.thread_pool import ThreadPool
from tieout.errors import StatementError


class PyMySqlWire:
    """One connection, used by one thread at a time."""

    __slots__ = ("_idle", "_running", "connection")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._running = Lock()
        self._idle = select.poll()
        self._idle.register(connection._sock, select.POLLIN)  # noqa: SLF001 - there is no other way to it

    @property
    def version(self) -> str:
        return str(self.connection.get_server_info())

    @property
    def is_busy(self) -> bool:
        return self._running.locked()

    async def query(self, text: bytes) -> Any:
        # The driver would give a second thread, or the next transaction, the answer to the first one's statement.
        if not self._running.acquire(blocking=False):
            raise StatementError(STILL_RUNNING)
        connection = self.connection
        try:
            connection.query(text)
            result = connection._result  # noqa: SLF001 - a cursor would copy it
            following = result
            while following.has_next:
                connection.next_result()
                following = connection._result  # noqa: SLF001 - as above
        except Exception:
            self._running.release()  # the server has answered; who is interrupted leaves the answer on its way
            raise
        self._running.release()
        return result

    async def stream(self, text: bytes, batch: int) -> AsyncIterator[tuple[Sequence[str], Sequence[Any]]]:
        cursor = SSCursor(self.connection)
        cursor.execute(text)
        names = [column[0] for column in cursor.description or ()]
        try:
            while rows := cursor.fetchmany(batch):
                yield names, rows
        finally:
            # Else the driver reads what is left of it, when it is collected.
            result, cursor.connection = self.connection._result, None  # noqa: SLF001 - as above
            if result is not None:
                result.unbuffered_active, result.connection = False, None

    def is_open(self) -> bool:
        return bool(self.connection.open)

    def is_alive(self) -> bool:
        # Between two statements there is nothing to read but that the server has closed it.
        return not self._idle.poll(0)

    def cut(self) -> None:
        self.connection._force_close()  # noqa: SLF001 - close() would speak to a server that may not listen

    def interrupt(self) -> None:
        """Make a thread that waits for an answer get an error."""
        with suppress(OSError, AttributeError):
            self.connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - there is no other way to it


async def dial(settings: Settings, host: Address, prepare: Prepare) -> Link:
    """Connect to a host and prepare the session, within the connect time-out for each answer."""
    connection = pymysql.connect(
        host=host.host,
        port=host.port,
        user=settings.user,
        password=settings.password,
        database=settings.database,
        unix_socket=settings.unix_socket,
        ssl=settings.tls,
        charset="utf8mb4",
        client_flag=FOUND_ROWS | MULTI_STATEMENTS,
        autocommit=None,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.connect_timeout,
        write_timeout=settings.connect_timeout,
        program_name="tieout",
    )
    try:
        wire = PyMySqlWire(connection)
        link = await prepare(wire, host)
    except BaseException:
        connection._force_close()  # noqa: SLF001 - as above
        raise
    # From here on the pool watches the deadline.
    connection._read_timeout = connection._write_timeout = None  # noqa: SLF001 - it has no setter
    return link


class MySqlInThreads(MySqlDatabase):
    """Used from any thread; every transaction blocks the thread that runs it."""

    def __init__(self, url: str) -> None:
        super().__init__(url, dial, ThreadPool)
