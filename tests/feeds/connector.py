"""A connector as a program of its own: it reads a database's log, and writes to Kafka what Debezium or Canal would.

Debezium on PostgreSQL, with schemas, bounds of transactions and exact decimals; Canal on MariaDB, with flat messages
in the time of Shanghai. Whenever it is started again it sends all anew since its first start, as after a crash.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from confluent_kafka import Producer

from tieout.database import connect
from tieout.feeds import Change, Committed, MySqlFeed, Position, PostgresFeed

SHANGHAI = ZoneInfo("Asia/Shanghai")
ROWS = 100
"""Rows of one flat message: about as many as an event of the log has."""

TYPES = {
    "debezium": "SELECT column_name, data_type, numeric_scale FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name = :name",
    "canal": "SELECT column_name, column_type, 0 FROM information_schema.columns"
    " WHERE table_schema = database() AND table_name = :name",
}
PLAIN = {"bigint": "int64", "integer": "int32", "boolean": "boolean"}

Types = Mapping[str, tuple[str, int]]


class Debezium:
    """One message a change, between the bounds of its transaction; a changed key is a delete and an insert."""

    def __init__(self, begin: Position) -> None:
        self.last = begin.place

    def messages(self, told: Committed, types: Mapping[str, Types]) -> Iterator[Any]:
        name, last, self.last = f"7:{told.position.place}", self.last, told.position.place
        changes = [part for change in told.changes for part in _parted(change)]
        yield {"status": "BEGIN", "id": name, "event_count": None, "data_collections": None}
        for number, change in enumerate(changes, 1):
            yield from self._change(change, types[change.table], name, (last, last + number), told.at)
        counts = [
            {"data_collection": f"public.{table}", "event_count": len(list(several))}
            for table, several in itertools.groupby(sorted(change.table for change in changes))
        ]
        yield {"status": "END", "id": name, "event_count": len(changes), "data_collections": counts}

    def _change(self, change: Change, types: Types, name: str, place: tuple[int, int], at: int) -> Iterator[Any]:
        op = "c" if change.before is None else "d" if change.after is None else "u"
        source = {
            "connector": "postgresql",
            "name": "shop",
            "db": "shop",
            "schema": "public",
            "table": change.table,
            "snapshot": "false",
            "ts_ms": at // 1_000,
            "ts_us": at,
            "ts_ns": at * 1_000,
            "sequence": json.dumps([str(one) for one in place]),
            "lsn": place[1],
        }
        rows = [
            None if row is None else {column: _as_debezium(text, *types[column]) for column, text in row.items()}
            for row in (change.before, change.after)
        ]
        fields = [{"field": column, "optional": True, **_schema(*kind)} for column, kind in types.items()]
        structs = [{"field": side, "type": "struct", "fields": fields} for side in ("before", "after")]
        block = {"id": name, "total_order": 1, "data_collection_order": 1}
        payload = {"op": op, "before": rows[0], "after": rows[1], "source": source, "transaction": block}
        yield {"schema": {"type": "struct", "fields": structs}, "payload": payload}
        if op == "d":
            yield None


class Canal:
    """Flat messages, each of some rows with which the same was done."""

    def __init__(self, begin: Position) -> None:
        pass

    def messages(self, told: Committed, types: Mapping[str, Types]) -> Iterator[Any]:
        second = told.at // 1_000_000 * 1_000
        kinds = [(change.table, _kind(change), change) for change in told.changes]
        for (table, kind), several in itertools.groupby(kinds, lambda one: one[:2]):
            changes = [change for _, _, change in several]
            for first in range(0, len(changes), ROWS):
                yield self._message(table, kind, changes[first : first + ROWS], types[table], second)

    def _message(self, table: str, kind: str, changes: list[Change], types: Types, second: int) -> Any:
        rows = [_as_canal(change.after or change.before, types) for change in changes]
        olds = [_as_canal(change.before, types) for change in changes] if kind == "UPDATE" else None
        if olds is not None:
            olds = [
                {name: value for name, value in old.items() if row[name] != value}
                for old, row in zip(olds, rows, strict=True)
            ]
        written = {name: kind for name, (kind, _) in types.items()}
        told = {"database": "shop", "table": table, "type": kind, "isDdl": False, "data": rows, "old": olds}
        return {**told, "es": second, "ts": second + 80, "id": 1, "pkNames": ["id"], "sql": "", "mysqlType": written}


def _parted(change: Change) -> list[Change]:
    before, after = change.before, change.after
    if before is None or after is None or "id" not in before or before["id"] == after["id"]:
        return [change]
    return [Change(change.table, before, None), Change(change.table, None, after)]


def _kind(change: Change) -> str:
    return "INSERT" if change.before is None else "DELETE" if change.after is None else "UPDATE"


def _schema(kind: str, scale: int) -> dict[str, Any]:
    if kind == "numeric":
        decimal = {"name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": str(scale)}}
        return {"type": "bytes", **decimal}
    if kind == "timestamp with time zone":
        return {"type": "string", "name": "io.debezium.time.ZonedTimestamp"}
    return {"type": "bytes" if kind == "bytea" else PLAIN.get(kind, "string")}


def _as_debezium(text: str | None, kind: str, scale: int) -> Any:
    if text is None:
        return None
    if kind in ("bigint", "integer"):
        return int(text)
    if kind == "boolean":
        return text == "t"
    if kind == "timestamp with time zone":
        return text.replace(" ", "T").replace("+00", "Z")
    if kind == "numeric":
        whole, _, fraction = text.partition(".")
        unscaled = int(whole + fraction.ljust(scale, "0"))
        return b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()
    return b64encode(bytes.fromhex(text[2:])).decode() if kind == "bytea" else text


def _as_canal(row: Mapping[str, str | None] | None, types: Types) -> dict[str, str | None]:
    assert row is not None
    return {name: None if text is None else _canal_text(text, types[name][0]) for name, text in row.items()}


def _canal_text(text: str, kind: str) -> str:
    if kind.startswith("timestamp"):
        local = datetime.fromisoformat(text).astimezone(SHANGHAI)
        return local.replace(tzinfo=None).isoformat(" ")
    return bytes.fromhex(text[2:]).decode("latin-1") if "blob" in kind or "binary" in kind else text


def _begun(file: Path) -> Position | None:
    return Position.parse(file.read_text()) if file.exists() else None


def _begin(file: Path, position: Position) -> None:
    file.write_text(position.text())


async def main(kind: str, url: str, slot: str, servers: str, topic: str, file: Path) -> None:
    """Send what is committed from the first start on, until it is killed; say "ready" once that is."""
    tables = ["t", "tieout_heartbeat"]
    feed = PostgresFeed(url, tables=tables, slot=slot) if kind == "debezium" else MySqlFeed(url, tables=tables)
    database = connect(url)
    await database.open()
    types = {}
    for table in tables:
        rows = await database.read(lambda tx, name=table: tx.fetch(TYPES[kind], name=name))
        types[table] = {str(row[0]): (str(row[1]), int(row[2] or 0)) for row in rows}
    begin = await feed.open(_begun(file))
    _begin(file, begin)
    writer = Debezium(begin) if kind == "debezium" else Canal(begin)
    producer = Producer({"bootstrap.servers": servers, "compression.type": "lz4", "linger.ms": 2})
    print("ready", flush=True)
    while True:
        for told in await feed.take():
            if not isinstance(told, Committed):
                continue
            for message in writer.messages(told, types):
                body = None if message is None else json.dumps(message, ensure_ascii=False).encode()
                while len(producer) > 50_000:
                    producer.poll(0.1)
                producer.produce(topic, body, key=b"k")
        await asyncio.to_thread(producer.flush)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6], Path(sys.argv[6])))
