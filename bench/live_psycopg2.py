"""A bare reader of both sides' logs on PostgreSQL, for `bench.live`: psycopg2, and pgoutput decoded to dictionaries.

`python -m bench.live_psycopg2 PAIRS`, in its own environment. It gathers whole transactions in the order of commits,
with rows before and after, values that were not touched taken from before; it judges and keeps nothing.
`begin` instead of a number makes its slots. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from select import select
from struct import Struct

import psycopg2
from psycopg2.extras import LogicalReplicationConnection

NUMBER, COUNT, COMMIT = Struct(">I").unpack_from, Struct(">H").unpack_from, Struct(">BQQq").unpack_from


class Reader:
    """One slot, read until so many rows have come."""

    def __init__(self, name: str, rows: int) -> None:
        self.connection = psycopg2.connect(os.environ[f"LIVE_{name}"], connection_factory=LogicalReplicationConnection)
        self.cursor = self.connection.cursor()
        options = {"proto_version": "1", "publication_names": "tieout"}
        self.cursor.start_replication(slot_name=slot(name), decode=False, options=options)
        self.tables: dict[int, tuple[str, list[str]]] = {}
        self.left, self.changes, self.transactions = rows, [], []

    def fileno(self) -> int:
        return self.connection.fileno()

    def drain(self) -> bool:
        """Take what is here; whether that was all that is wanted."""
        while message := self.cursor.read_message():
            self.take(message.payload)
            if self.left <= 0:
                self.cursor.send_feedback(flush_lsn=message.wal_end, force=True)
                self.connection.close()
                return True
        return False

    def take(self, data: bytes) -> None:
        kind = data[0:1]
        if kind in (b"I", b"U", b"D"):
            name, columns = self.tables[NUMBER(data, 1)[0]]
            place, before, after = 5, None, None
            if data[place : place + 1] in (b"O", b"K"):
                before, place = row(columns, data, place + 1, {})
            if kind != b"D":
                after, place = row(columns, data, place + 1, before or {})
            self.changes.append((name, before, after))
        elif kind == b"B":
            self.changes = []
        elif kind == b"C":
            _, _, end, at = COMMIT(data, 1)
            self.left -= len(self.changes)
            self.transactions.append((end, at, self.changes))
            if len(self.transactions) >= 10_000:
                self.transactions.clear()
        elif kind == b"R":
            self.describe(data)

    def describe(self, data: bytes) -> None:
        schema, name, rest = data[5:].split(b"\0", 2)
        columns, place = [], 3
        for _ in range(COUNT(rest, 1)[0]):
            end = rest.index(0, place + 1)
            columns.append(rest[place + 1 : end].decode())
            place = end + 9
        self.tables[NUMBER(data, 1)[0]] = (f"{schema.decode()}.{name.decode()}", columns)


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


def main() -> None:
    """Make the slots, or read them."""
    if sys.argv[1] == "begin":
        for name in ("UP", "DOWN"):
            with psycopg2.connect(os.environ[f"LIVE_{name}"]) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot(name),))
        print("{}")
        return
    pairs, begun = int(sys.argv[1]), time.perf_counter()
    readers = [Reader(name, pairs) for name in ("UP", "DOWN")]
    while readers:
        readers = [reader for reader in readers if not reader.drain()]
        if readers:
            select(readers, [], [])
    print(json.dumps({"rate": 2 * pairs / (time.perf_counter() - begun)}))


if __name__ == "__main__":
    main()
