"""Where the suite of the `Database` contract finds a database, and what differs there between dialects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tieout.contracts import Database, Param, Row, Transaction

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True)
class Site:
    """Where the suite finds a database.

    `handle` gives a new, unopened `Database` each time. `shared` says that all handles see the same data, `parallel`
    that transactions of several tasks run at the same time, and `bounded` that a stream holds one batch in memory.
    """

    handle: Callable[[], Database]
    shared: bool = True
    parallel: bool = True
    bounded: bool = True


WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "int": "INTEGER",
        "text": "TEXT",
        "bytes": "BLOB",
        "float": "REAL",
        "bool": "INTEGER",
        "by_ids": "SELECT id FROM account WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id",
        "insert_new": "INSERT INTO account (id, points) VALUES (:id, :points) ON CONFLICT DO NOTHING",
        "add_returning": "UPDATE account SET points = points + :n WHERE id = :id RETURNING points",
    },
    "mysql": {
        "int": "BIGINT",
        "text": "LONGTEXT CHARACTER SET utf8mb4",
        "bytes": "LONGBLOB",
        "float": "DOUBLE",
        "bool": "BOOLEAN",
        "by_ids": "SELECT id FROM account WHERE id IN ("
        "SELECT given.id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS given) ORDER BY id",
        "insert_new": "INSERT INTO account (id, points) VALUES (:id, :points)"
        " ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)",
        "add_returning": "UPDATE account SET points = LAST_INSERT_ID(points + :n) WHERE id = :id",
    },
    "postgres": {
        "int": "BIGINT",
        "text": "TEXT",
        "bytes": "BYTEA",
        "float": "DOUBLE PRECISION",
        "bool": "BOOLEAN",
        "by_ids": "SELECT id FROM account WHERE id = ANY(:ids) ORDER BY id",
        "insert_new": "INSERT INTO account (id, points) VALUES (:id, :points) ON CONFLICT DO NOTHING",
        "add_returning": "UPDATE account SET points = points + :n WHERE id = :id RETURNING points",
    },
}
"""What differs between dialects in the statements below."""

TABLES = (
    "CREATE TABLE account (id {int} PRIMARY KEY, points {int} NOT NULL CHECK (points >= 0))",
    "CREATE TABLE posting (id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id))",
    "CREATE TABLE sample (id {int} PRIMARY KEY, n {int}, t {text}, b {bytes}, f {float}, o {bool})",
)

INSERT = "INSERT INTO account (id, points) VALUES (:id, :points)"
ADD = "UPDATE account SET points = points + :n WHERE id = :id"
POINTS = "SELECT points FROM account WHERE id = :id"
SAMPLE = "INSERT INTO sample (id, n, t, b, f, o) VALUES (:id, :n, :t, :b, :f, :o)"
NOTHING: Mapping[str, Any] = {"n": None, "t": None, "b": None, "f": None, "o": None}


async def refused(kind: type[E] | tuple[type[E], ...], awaited: Awaitable[Any]) -> E:
    """The error of this kind, or of one of these, that `awaited` raises."""
    try:
        await awaited
    except kind as error:
        return error
    raise AssertionError(f"{kind} was not raised")


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[Database]:
    """An open database with the suite's tables, empty but for account 1, which has 100 points."""
    database = site.handle()
    await database.open()
    try:
        await database.transact(make_tables)
        yield database
    finally:
        await database.close()


async def make_tables(tx: Transaction) -> None:
    """Drop what an earlier test left, and create the tables anew."""
    for table in ("posting", "account", "sample"):
        await tx.execute(f"DROP TABLE IF EXISTS {table}")
    for table in TABLES:
        await tx.execute(table.format(**WORDS[tx.dialect]))
    await tx.execute(INSERT, id=1, points=100)


def executing(sql: str, **params: Param) -> Callable[[Transaction], Awaitable[int]]:
    """Work that executes one statement."""

    async def work(tx: Transaction) -> int:
        return await tx.execute(sql, **params)

    return work


def fetching(sql: str, **params: Param) -> Callable[[Transaction], Awaitable[Sequence[Row]]]:
    """Work that fetches one statement's rows."""

    async def work(tx: Transaction) -> Sequence[Row]:
        return await tx.fetch(sql, **params)

    return work


async def points(database: Database, account: int = 1) -> int | None:
    """What an account has now; None when there is no such account."""
    rows = await database.read(fetching(POINTS, id=account))
    return rows[0]["points"] if rows else None
