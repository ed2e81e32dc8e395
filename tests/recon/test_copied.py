"""Rows that PostgreSQL copies are read as those that it is queried for: whatever stands in them, and however many."""

from __future__ import annotations

import asyncio
from random import Random

import pyarrow as pa
import pytest

from tieout.database import connect
from tieout.database.postgres_copy import PIECE, pieces
from tieout.errors import DatabaseError
from tieout.recon.copied import parsed

ODD = ["", "\\N", "\\", "\\\\", "a\tb", "a\nb", "a\r\nb", "\b\f\v", "NULL", '"', '""', "'", "ä€😀", "\\x41", " "]


@pytest.fixture
async def table(made):
    """A database with a table of texts, open."""
    url = await made("postgres", "copied", "CREATE TABLE one (n bigint, a text, b text)")
    database = connect(url)
    await database.open()
    yield database
    await database.close()


async def both(database, columns: str) -> tuple[list, list]:
    """The table's rows, as they are copied, and as they are fetched."""
    sql = f"SELECT {columns} FROM one ORDER BY n"
    width = columns.count(",") + 1
    copied = [row async for piece in database.copied(sql) for row in rows(piece, width)]
    fetched = [tuple(row) async for batch in database.stream(sql, batch=500) for row in batch]
    return copied, fetched


def rows(piece: bytes, width: int) -> list[tuple]:
    assert piece.endswith(b"\n")
    return list(zip(*(column.to_pylist() for column in parsed(piece, [pa.string()] * width)), strict=True))


async def test_whatever_stands_in_a_text(table):
    """Every odd text, NULL, and random ones of odd characters, beside each other and alone in their row."""
    chance = Random(7)
    texts = [*ODD, *("".join(chance.choices("\\Nntb\t\n\r ä", k=chance.randrange(9))) for _ in range(3_000))]
    values = [{"n": n, "a": text, "b": chance.choice([*ODD, None])} for n, text in enumerate(texts)]
    await table.transact(lambda tx: tx.execute_many("INSERT INTO one VALUES (:n, :a, :b)", values))
    for columns in ("n::text, a, b", "b", "a"):
        copied, fetched = await both(table, columns)
        assert copied == fetched and len(copied) == len(texts)


async def test_many_pieces_are_the_rows_in_order(table):
    """What is longer than a piece comes in several, each of whole rows, none lost and none doubled."""
    fill = "INSERT INTO one SELECT n, repeat('x', n % 200), NULL FROM generate_series(1, 60000) AS n"
    await table.transact(lambda tx: tx.execute(fill))
    copied = [piece async for piece in table.copied("SELECT n::text, a FROM one ORDER BY one.n")]
    assert len(copied) > 4 and min(map(len, copied[:-1])) >= PIECE // 2
    assert [int(row[0]) for piece in copied for row in rows(piece, 2)] == list(range(1, 60_001))


async def test_whoever_stops_early_leaves_the_database_usable(table):
    """A consumer that gives up, or is cancelled, holds no connection."""
    fill = "INSERT INTO one SELECT n, repeat('x', 200), NULL FROM generate_series(1, 60000) AS n"
    await table.transact(lambda tx: tx.execute(fill))

    async def first():
        return await anext(aiter(table.copied("SELECT a FROM one")))

    async def never_ends():
        async for _ in table.copied("SELECT a FROM one"):
            await asyncio.Event().wait()

    for _ in range(2 * table.pool_limit):
        assert await first()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never_ends(), 0.05)
    assert await table.read(lambda tx: tx.fetch("SELECT 1 AS one"))


async def test_a_whole_table_may_take_longer_than_a_statement(table):
    """What is copied is one statement: the server does not end it at the deadline, which each of its parts has."""
    limit = "SELECT current_setting('statement_timeout') AS limit"
    copied = [row async for piece in table.copied(limit) for row in rows(piece, 1)]
    streamed = [tuple(row) async for batch in table.stream(limit) for row in batch]
    assert (copied, streamed == copied) == ([("0",)], False)


async def test_what_fails_in_the_middle_raises(table):
    """An error that the server finds in a late row is raised, after the rows before it."""
    await table.transact(lambda tx: tx.execute("INSERT INTO one SELECT n, '1' FROM generate_series(1, 60000) AS n"))
    await table.transact(lambda tx: tx.execute("UPDATE one SET a = 'no number' WHERE n = 60000"))
    rest = aiter(table.copied("SELECT repeat('x', 99), a::int FROM one"))
    assert await anext(rest)
    with pytest.raises(DatabaseError):
        _ = [piece async for piece in rest]


class Torn:
    """A connection whose data comes in pieces that end anywhere, as the protocol allows."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def copy_from_query(self, text, *args, output, format):
        chance, at = Random(3), 0
        while at < len(self._data):
            end = at + chance.randrange(1, PIECE)
            await output(self._data[at:end])
            at = end


async def test_a_piece_ends_with_a_row_wherever_the_data_is_torn():
    """The protocol promises no row to a message."""
    data = b"".join(b"%d\t%s\n" % (n, b"x" * (n % 300)) for n in range(40_000))
    torn = [piece async for piece in pieces(Torn(data), "", ())]
    assert b"".join(torn) == data
    assert len(torn) > 3 and all(piece.endswith(b"\n") for piece in torn)
