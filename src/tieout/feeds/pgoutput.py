"""PostgreSQL's logical decoding messages, protocol version 1, as `pgoutput` writes them. Pure.

Source: PostgreSQL documentation, "Logical Replication Message Formats". Every message is known or refused: one that was
passed over might be a change that nobody has seen.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from tieout.errors import FeedGap
from tieout.feeds.changes import LARGEST, Change, Committed, Heartbeat, Position, Row, Told
from tieout.feeds.shapes import Shapes

SINCE_2000 = 946_684_800_000_000
"""Microseconds from 1970 to PostgreSQL's own epoch."""

BEAT = "tieout"
"""The prefix of messages that this feed writes into the log itself."""

COMMIT = Struct(">BQQq").unpack_from
MESSAGE = Struct(">BQ")
SHORT, NUMBER = Struct(">H").unpack_from, Struct(">I").unpack_from
BEGIN, RELATION, INSERT, UPDATE, DELETE = b"BRIUD"
COMMITTED, LOGICAL, TRUNCATE, ORIGIN, TYPE = b"CMTOY"
CHANGES = frozenset({INSERT, UPDATE, DELETE})
NULL, TEXT, UNCHANGED = b"ntu"
OLD, KEY, NEW, FULL = b"OKNf"

VARCHAR = 1043
"""The type whose length says nothing of the values in it."""


class Table(NamedTuple):
    """A table as the stream has described it; a column that is not told has no name."""

    name: str
    columns: tuple[str | None, ...]


class Decoder:
    """Turns messages into transactions of `tables`; raises `FeedGap` at whatever it cannot tell whole.

    `tables` (schema.table) have the columns to tell, or None for all; `shapes` is what is known of them.
    """

    def __init__(self, history: str, tables: Mapping[str, Sequence[str] | None], shapes: Shapes) -> None:
        self.history, self._wanted, self._shapes = history, tables, shapes
        self._tables: dict[int, Table | None] = {}
        self._changes: list[Change] = []
        self._beats = False
        self._resume = shapes.text()

    def feed(self, data: bytes, place: int = 0) -> Told | None:
        """Take the message that begins at `place` and ends with `data`; return what it ends.

        That is a transaction that changed something, or a heartbeat.
        """
        try:
            kind = data[place]
            if kind == COMMITTED:
                _, _, end, at = COMMIT(data, place + 1)
                at += SINCE_2000
                if self._changes:
                    changes, self._changes = tuple(self._changes), []
                    return Committed(Position(self.history, end, self._resume), at, changes, at)
                return Heartbeat(Position(self.history, end, self._resume), at) if self._beats else None
            if kind in CHANGES:
                table = self._tables[NUMBER(data, place + 1)[0]]
                if table is not None:
                    self._changes.append(_change(table, kind, data, place + 5))
                    if len(self._changes) > LARGEST:
                        raise FeedGap(f"{table.name}: a transaction changes more than {LARGEST} rows")
            elif kind == BEGIN:
                self._changes, self._beats = [], False
            else:
                self._other(kind, data, place)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise FeedGap(f"a message came that cannot be read: {data[place : place + 40].hex()}") from error
        return None

    def _other(self, kind: int, data: bytes, place: int) -> None:
        """Take a message that neither changes a row nor bounds a transaction."""
        if kind == RELATION:
            self._describe(Reader(data, place + 1))
        elif kind == LOGICAL:
            reader = Reader(data, place + 1)
            reader.take(MESSAGE)
            self._beats |= reader.text() == BEAT
        elif kind == TRUNCATE:
            self._truncated(Reader(data, place + 1))
        elif kind not in {ORIGIN, TYPE}:
            raise FeedGap(f"a message of the unknown kind {chr(kind)!r} came, which may be a change")

    def _describe(self, reader: Reader) -> None:
        number, schema, name = reader.number(), reader.text(), reader.text()
        identity, count = reader.byte(), reader.short()
        full = f"{schema}.{name}"
        if full not in self._wanted:
            self._tables[number] = None
            return
        kinds = dict(_column(reader) for _ in range(count))
        told = full.removeprefix("public.")
        if identity != FULL:
            raise FeedGap(f"{told} is not REPLICA IDENTITY FULL any more: what its rows were before is not told")
        wanted = self._wanted[full]
        self._shapes.seen(told, {"": str(number), **kinds}, wanted)
        columns = tuple(column if wanted is None or column in wanted else None for column in kinds)
        self._tables[number] = Table(told, columns)
        self._resume = self._shapes.text()

    def _truncated(self, reader: Reader) -> None:
        count, _ = reader.number(), reader.byte()
        tables = [self._tables[reader.number()] for _ in range(count)]
        names = [table.name for table in tables if table is not None]
        if names:
            raise FeedGap(f"{', '.join(names)} was truncated: no row tells what it had")


class Reader:
    """Takes values off a message, one behind the other."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def take(self, form: Struct) -> tuple[int, ...]:
        """The values of a fixed form."""
        values = form.unpack_from(self._data, self._place)
        self._place += form.size
        return values

    def byte(self) -> int:
        """One byte."""
        self._place += 1
        return self._data[self._place - 1]

    def short(self) -> int:
        """A number of two bytes."""
        found: int = SHORT(self._data, self._place)[0]
        self._place += 2
        return found

    def number(self) -> int:
        """A number of four bytes."""
        found: int = NUMBER(self._data, self._place)[0]
        self._place += 4
        return found

    def text(self) -> str:
        """A text that ends with a zero byte."""
        end = self._data.index(0, self._place)
        found = self._data[self._place : end].decode()
        self._place = end + 1
        return found


def _column(reader: Reader) -> tuple[str, str]:
    """A column's name, and what would change its values without a word if it changed."""
    reader.byte()
    name, kind, modifier = reader.text(), reader.number(), reader.number()
    return name, str(kind) if kind == VARCHAR else f"{kind}.{modifier}"


def _change(table: Table, kind: int, data: bytes, place: int) -> Change:
    """The change of one row, which has to fill its message to the last byte."""
    before = after = None
    if kind != INSERT:
        if data[place] == KEY:
            raise FeedGap(f"{table.name}: only the key of a row before its change is told, not the row")
        if data[place] == OLD:
            before, place = _row(table, data, place + 1, None)
    if kind != DELETE:
        if data[place] != NEW or (kind == UPDATE and before is None):
            raise FeedGap(f"{table.name}: a row before its change is not told")
        after, place = _row(table, data, place + 1, before)
    if place != len(data) or (before is None and after is None):
        raise FeedGap(f"{table.name}: a change came that cannot be read: {data[:40].hex()}")
    return Change(table.name, before, after)


def _row(table: Table, data: bytes, place: int, before: Row | None) -> tuple[Row, int]:
    """A row, and where it ends; a long value that was not touched is not sent again, and is what it was before."""
    row: dict[str, str | None] = {}
    columns = table.columns
    if SHORT(data, place)[0] != len(columns):
        raise FeedGap(f"{table.name}: a row has other columns than the table was said to have")
    place += 2
    for column in columns:
        kind = data[place]
        if kind == TEXT:
            begin = place + 5
            place = begin + NUMBER(data, place + 1)[0]
            if column is not None:
                row[column] = data[begin:place].decode()
            continue
        place += 1
        if column is None:
            if kind not in {NULL, UNCHANGED}:
                raise FeedGap(f"{table.name}: a value came that cannot be read")
        elif kind == NULL:
            row[column] = None
        elif kind == UNCHANGED and before is not None:
            row[column] = before[column]
        else:
            raise FeedGap(f"{table.name}: {column} was not sent, and what it was before is not known")
    return row, place
