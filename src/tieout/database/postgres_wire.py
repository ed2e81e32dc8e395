"""PostgreSQL on an event loop, through asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg

from tieout.contracts import Param, Statement
from tieout.database.pool import Pool
from tieout.database.postgres import PostgresDatabase
from tieout.database.postgres_copy import pieces
from tieout.database.postgres_hosts import Check, Link, Settings, server_settings

READ = 64 << 10
"""Bytes that are read from a server at a time, of which an answer is mostly a hundred.

asyncio asks for four times as much. So large a buffer is mapped anew by the kernel for each read and given back after
it, which takes longer than to read what came.
"""


async def dial(settings: Settings, dsn: str, check: Check) -> Link:
    """Connect and check, within the connect time-out."""
    connection = None
    try:
        async with asyncio.timeout(settings.connect_timeout):
            connection = await asyncpg.connect(
                dsn,
                timeout=None,
                statement_cache_size=settings.statement_cache,
                max_cached_statement_lifetime=0,
                server_settings=server_settings(settings),
            )
            _read_in_pieces(connection._transport)  # noqa: SLF001 - asyncpg leaves how much is read to asyncio
            return await check(connection)
    except BaseException:
        if connection is not None:
            connection.terminate()
        raise


def _read_in_pieces(transport: Any) -> None:
    """Have asyncio's own transport read so much at a time; those of TLS and of uvloop keep a buffer of their own."""
    if hasattr(transport, "max_size"):
        transport.max_size = READ


class PostgresOnLoop(PostgresDatabase):
    """Used from the event loop that opened it."""

    def __init__(self, url: str) -> None:
        super().__init__(url, dial, Pool)

    def copied(self, sql: str | Statement, /, **params: Param) -> AsyncGenerator[bytes, None]:
        """The result as the text of PostgreSQL's COPY, as `Copying` promises it."""
        return self._copied(sql, params, pieces)
