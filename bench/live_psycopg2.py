"""A bare reader of both sides' logs on PostgreSQL, for `bench.live`: psycopg2, and pgoutput decoded to dictionaries.

`python -m bench.live_psycopg2 PAIRS FILE`, in its own environment. It gathers whole transactions in the order of
commits, with their positions and rows before and after, values that were not touched taken from before; it tells
heartbeats, and ends with an error at what it cannot tell whole. It judges nothing, and keeps in FILE where the next
reading goes on: a server may not come to read what a slot is told just before the connection ends. `begin` instead of
a number makes its slots anew; `told FILE CHANGES` tells what one side has done. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from select import select
from struct import Struct

import psycopg2
from psycopg2.extras import LogicalReplicationConnection

LARGEST = 1_000_000
"""Changes of one transaction that are held."""

NUMBER, COUNT, COMMIT = Struct(">I").unpack_from, Struct(">H").unpack_from, Struct(">BQQq").unpack_from


class Reader:
    """One slot, read from behind `end` until so many rows have come."""

    def __init__(self, name: str, rows: int, end: int) -> None:
        spoken = "-c datestyle=ISO -c timezone=UTC"
        self.connection = psycopg2.connect(
            os.environ[f"LIVE_{name}"], connection_factory=LogicalReplicationConnection, options=spoken
        )
        self.cursor = self.connection.cursor()
        self.cursor.execute("IDENTIFY_SYSTEM")
        system, timeline, *_ = self.cursor.fetchone()
        self.history = f"{system}/{timeline}"
        options = {"proto_version": "1", "publication_names": "tieout", "messages": "true"}
        self.cursor.start_replication(slot_name=slot(name), start_lsn=end, decode=False, options=options)
        self.tables: dict[int, tuple[str, list[str]]] = {}
        self.left, self.changes, self.beats, self.transactions = rows, [], False, []
        self.shapes: dict[str, dict[str, bytes]] = {}
        self.name, self.end = name, end

    def fileno(self) -> int:
        return self.connection.fileno()

    def drain(self) -> bool:
        """Take what is here; whether that was all that is wanted."""
        while message := self.cursor.read_message():
            self.take(message.payload)
            if self.left <= 0:
                self.cursor.send_feedback(flush_lsn=self.end, force=True)
                self.connection.close()
                return True
        return False

    def take(self, data: bytes) -> None:
        kind = data[0:1]
        if kind in (b"I", b"U", b"D"):
            self.changes.append(change(self.tables[NUMBER(data, 1)[0]], kind, data))
            if len(self.changes) > LARGEST:
                raise RuntimeError("a transaction is too large")
        elif kind == b"B":
            self.changes, self.beats = [], False
        elif kind == b"C":
            _, _, self.end, at = COMMIT(data, 1)
            if self.changes or self.beats:
                self.left -= len(self.changes)
                self.transactions.append(((self.history, self.end), at, self.changes))
                if len(self.transactions) >= 10_000:
                    self.transactions.clear()
        elif kind == b"R":
            self.describe(data)
        elif kind == b"M":
            self.beats |= data[10 : data.index(0, 10)] == b"tieout"
        elif kind not in (b"O", b"Y"):
            raise RuntimeError(f"a message {kind!r} came, which no row tells")

    def describe(self, data: bytes) -> None:
        schema, name, rest = data[5:].split(b"\0", 2)
        told = f"{schema.decode()}.{name.decode()}"
        if rest[0:1] != b"f":
            raise RuntimeError(f"{told} is not REPLICA IDENTITY FULL")
        columns, place = {}, 3
        for _ in range(COUNT(rest, 1)[0]):
            end = rest.index(0, place + 1)
            columns[rest[place + 1 : end].decode()] = rest[end + 1 : end + 9]
            place = end + 9
        if any(columns.get(column, kind) != kind for column, kind in self.shapes.setdefault(told, columns).items()):
            raise RuntimeError(f"{told}: the type of a column was changed, and with it rows")
        self.shapes[told] = columns
        self.tables[NUMBER(data, 1)[0]] = (told, list(columns))


def change(table: tuple[str, list[str]], kind: bytes, data: bytes) -> tuple[str, dict | None, dict | None]:
    """A row before and after."""
    name, columns = table
    place, before, after = 5, None, None
    if data[place : place + 1] == b"O":
        before, place = row(columns, data, place + 1, {})
    if kind != b"D":
        if data[place : place + 1] != b"N" or (kind == b"U" and before is None):
            raise RuntimeError(f"{name}: what a row was before is not told")
        after, place = row(columns, data, place + 1, before or {})
    if place != len(data) or (before is None and after is None):
        raise RuntimeError(f"{name}: a change cannot be read")
    return name, before, after


def row(columns: list[str], data: bytes, place: int, before: dict) -> tuple[dict, int]:
    """A row by column, and where it ends."""
    found = {}
    place += 2
    for column in columns:
        kind = data[place]
        place += 1
        if kind == 116:
            begin = place + 4
            place = begin + NUMBER(data, place)[0]
            found[column] = data[begin:place].decode()
        else:
            found[column] = None if kind == 110 else before[column]
    return found, place


def slot(name: str) -> str:
    return f"psycopg2_{name.lower()}"


def begin() -> None:
    """Make the slots anew."""
    for name in ("UP", "DOWN"):
        with psycopg2.connect(os.environ[f"LIVE_{name}"]) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                (slot(name),),
            )
            connection.commit()
            cursor.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot(name),))


def read(names: tuple[str, ...], rows: int, kept: Path) -> list[Reader]:
    """Readers of these sides once each has so many rows; where they end is kept."""
    ends = json.loads(kept.read_text())
    readers = waiting = [Reader(name, rows, ends.get(name, 0)) for name in names]
    while waiting := [reader for reader in waiting if not reader.drain()]:
        select(waiting, [], [])
    kept.write_text(json.dumps(ends | {reader.name: reader.end for reader in readers}))
    return readers


def main() -> None:
    """Make the slots, or read them."""
    what, kept, *more = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    match what:
        case "begin":
            begin()
            kept.write_text("{}")
            print("{}")
        case "told":
            (reader,) = read(("UP",), int(more[0]), kept)
            told = [[place, [change[1:] for change in changes]] for place, _, changes in reader.transactions]
            print(json.dumps({"told": told}))
        case pairs:
            begun = time.perf_counter()
            read(("UP", "DOWN"), int(pairs), kept)
            print(json.dumps({"rate": 2 * int(pairs) / (time.perf_counter() - begun)}))


if __name__ == "__main__":
    main()
