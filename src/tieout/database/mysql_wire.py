"""MySQL and MariaDB on an event loop, through asyncmy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS
from asyncmy.cursors import SSCursor

from tieout.database.mysql import MySqlDatabase
from tieout.database.mysql_errors import STILL_RUNNING
from tieout.database.mysql_hosts import Link, Prepare
from tieout.database.mysql_server import Address, Settings
from tieout.database.pool import Pool
from tieout.errors import StatementError


class AsyncmyWire:
    """One connection, used by one task at a time."""

    __slots__ = ("connection", "is_busy")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.is_busy = False

    @property
    def version(self) -> str:
        return str(self.connection.get_server_info())

    async def query(self, text: bytes) -> Any:
        # The driver would give a second task, or the next transaction, the answer to the first one's statement.
        if self.is_busy:
            raise StatementError(STILL_RUNNING)
        self.is_busy = True
        connection = self.connection
        try:
            await connection.query(text)
            result = connection._result  # noqa: SLF001 - a cursor would copy it
            following = result
            while following.has_next:
                await connection.next_result()
                following = connection._result  # noqa: SLF001 - as above
        except Exception:
            self.is_busy = False  # the server has answered; who is cancelled leaves the answer on its way
            raise
        self.is_busy = False
        return result

    async def stream(self, text: bytes, batch: int) -> AsyncIterator[tuple[Sequence[str], Sequence[Any]]]:
        cursor = self.connection.cursor(SSCursor)
        await cursor.execute(text)
        names = [column[0] for column in cursor.description or ()]
        transport = self.connection._transport  # noqa: SLF001 - the driver itself reads ahead without bound
        while rows := await cursor.fetchmany(batch):
            transport.pause_reading()
            yield names, rows
            transport.resume_reading()

    def is_open(self) -> bool:
        return self.connection.connected and not self.connection._stream_broken  # noqa: SLF001 - it alone sees a close

    def is_alive(self) -> bool:
        return True  # the event loop has told

    def cut(self) -> None:
        transport = self.connection._transport  # noqa: SLF001 - close() would wait for what is to be sent
        if transport is not None:
            transport.abort()
        self.connection.close()

    def interrupt(self) -> None:
        self.cut()


async def dial(settings: Settings, host: Address, prepare: Prepare) -> Link:
    """Connect to a host and prepare the session, within the connect time-out."""
    wire = None
    try:
        async with asyncio.timeout(settings.connect_timeout):
            connection = await asyncmy.connect(
                host=host.host,
                port=host.port,
                user=settings.user,
                password=settings.password,
                database=settings.database,
                unix_socket=settings.unix_socket,
                ssl=settings.tls,
                charset="utf8mb4",
                client_flag=FOUND_ROWS,
                autocommit=None,
                connect_timeout=settings.connect_timeout,
                program_name="tieout",
            )
            wire = AsyncmyWire(connection)
            return await prepare(wire, host)
    except BaseException:
        if wire is not None:
            wire.cut()
        raise


class MySqlOnLoop(MySqlDatabase):
    """Used from the event loop that opened it."""

    def __init__(self, url: str) -> None:
        super().__init__(url, dial, Pool)
