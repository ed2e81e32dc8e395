"""PostgreSQL's logical decoding messages, protocol version 1, as `pgoutput` writes them. Pure.

Source: PostgreSQL documentation, "Logical Replication Message Formats". Every message is known or refused: one that was
passed over might be a change that nobody has seen.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import NamedTuple

from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Committed, Heartbeat, Position, Row

SINCE_2000 = 946_684_800_000_000
"""Microseconds from 1970 to PostgreSQL's own epoch."""

BEAT = "tieout"
"""The prefix of messages that this feed writes into the log itself."""

BEGIN = Struct(">QqI")
COMMIT = Struct(">BQQq")
MESSAGE = Struct(">BQ")
SHORT, LONG = Struct(">H"), Struct(">I")
FULL = ord("f")


class Table(NamedTuple):
    """A table as the stream has described it."""

    name: str
    columns: tuple[str, ...]


class Decoder:
    """Turns messages into transactions; raises `FeedGap` at whatever it cannot tell whole."""

    def __init__(self, system: str, timeline: int) -> None:
        self._system, self._timeline = system, timeline
        self._tables: dict[int, Table] = {}
        self._changes: list[Change] = []
        self._beats = False

    def feed(self, data: bytes) -> Committed | Heartbeat | None:
        """Take one message; return the transaction that it ends, if it does."""
        try:
            return self._fed(data)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise FeedGap(f"a message came that cannot be read: {data[:40].hex()}") from error

    def _fed(self, data: bytes) -> Committed | Heartbeat | None:
        kind, reader = chr(data[0]), Reader(data, 1)
        match kind:
            case "B":
                self._changes, self._beats = [], False
            case "R":
                self._describe(reader)
            case "I" | "U" | "D":
                self._changes.append(self._change(kind, reader))
            case "M":
                reader.take(MESSAGE)
                self._beats |= reader.text() == BEAT
            case "C":
                return self._committed(reader)
            case "T":
                names = self._truncated(reader)
                raise FeedGap(f"{', '.join(names)} was truncated: no row tells what it had")
            case "O" | "Y":
                pass
            case _:
                raise FeedGap(f"a message of the unknown kind {kind!r} came, which may be a change")
        return None

    def _committed(self, reader: Reader) -> Committed | Heartbeat:
        _, _, end, at = reader.take(COMMIT)
        position = Position(self._system, self._timeline, end)
        changes, self._changes = tuple(self._changes), []
        if self._beats and not changes:
            return Heartbeat(position, at + SINCE_2000)
        return Committed(position, at + SINCE_2000, changes)

    def _describe(self, reader: Reader) -> None:
        number, schema, name = reader.number(), reader.text(), reader.text()
        identity = reader.byte()
        columns = []
        for _ in range(reader.short()):
            reader.byte()
            columns.append(reader.text())
            reader.skip(8)
        full = name if schema == "public" else f"{schema}.{name}"
        if identity != FULL:
            raise FeedGap(f"{full} is not REPLICA IDENTITY FULL any more: what its rows were before is not told")
        self._tables[number] = Table(full, tuple(columns))

    def _change(self, kind: str, reader: Reader) -> Change:
        table = self._tables[reader.number()]
        mark, before = chr(reader.byte()), None
        if mark == "K":
            raise FeedGap(f"{table.name}: only the key of a row before its change is told, not the row")
        if mark == "O":
            before = _row(table, reader, None)
            if kind == "D":
                return Change(table.name, before, None)
            mark = chr(reader.byte())
        if mark != "N" or (kind == "U" and before is None):
            raise FeedGap(f"{table.name}: a row before its change is not told")
        return Change(table.name, before, _row(table, reader, before))

    def _truncated(self, reader: Reader) -> list[str]:
        count, _ = reader.number(), reader.byte()
        return [self._tables[reader.number()].name for _ in range(count)]


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
        return self.take(SHORT)[0]

    def number(self) -> int:
        """A number of four bytes."""
        return self.take(LONG)[0]

    def text(self) -> str:
        """A text that ends with a zero byte."""
        end = self._data.index(0, self._place)
        found = self._data[self._place : end].decode()
        self._place = end + 1
        return found

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        self._place += count

    def value(self) -> str:
        """A text behind its length."""
        length = self.number()
        self._place += length
        return self._data[self._place - length : self._place].decode()


def _row(table: Table, reader: Reader, before: Row | None) -> Row:
    """A row; a long value that was not touched is not sent again, and is what it was before."""
    row: dict[str, str | None] = {}
    if reader.short() != len(table.columns):
        raise FeedGap(f"{table.name}: a row has other columns than the table was said to have")
    for column in table.columns:
        match chr(reader.byte()):
            case "n":
                row[column] = None
            case "t":
                row[column] = reader.value()
            case "u" if before is not None:
                row[column] = before[column]
            case _:
                raise FeedGap(f"{table.name}: {column} was not sent, and what it was before is not known")
    return row
