"""What stands in a database, read with plain SQL: for auditors, who take nothing of tieout."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

Row = dict[str, Any]


async def rows(url: str, sql: str) -> list[Row]:
    """The result of a query on a file of SQLite, a `postgresql://` or a `mysql://` URL."""
    if url.startswith("postgresql://"):
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()
    if url.startswith("mysql://"):
        return await _mysql_rows(url, sql)
    with closing(sqlite3.connect(url, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA query_only = ON")
        return [dict(row) for row in database.execute(sql)]


async def _mysql(url: str) -> Any:
    import asyncmy
    from asyncmy.cursors import DictCursor

    at = urlsplit(url)
    place = {"host": at.hostname, "port": at.port or 3306, "user": at.username, "password": at.password or ""}
    return await asyncmy.connect(**place, db=at.path[1:], cursor_cls=DictCursor)


async def _mysql_rows(url: str, sql: str) -> list[Row]:
    connection = await _mysql(url)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())
    finally:
        await connection.ensure_closed()


async def execute(url: str, sql: str) -> None:
    """Run one statement, committed at once, on a `postgresql://` or a `mysql://` URL."""
    if url.startswith("postgresql://"):
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()
        return
    connection = await _mysql(url)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(sql)
        await connection.commit()
    finally:
        await connection.ensure_closed()
