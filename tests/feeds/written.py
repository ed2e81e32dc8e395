"""Messages as connectors write them, by hand: after the documentation of Debezium 2 and of Canal 1.1."""

from __future__ import annotations

import json
from typing import Any

from tieout.contracts import Delivery

NOON = 1_795_348_800_000
"""In milliseconds."""


def delivery(told: Any, key: Any = None, place: tuple[str, int] | None = None) -> Delivery:
    body = b"" if told is None else json.dumps(told).encode()
    return Delivery("", "t", "" if key is None else json.dumps(key), {}, body, None, place)


def source(lsn: int = 100, last: int | None = 90, at: int = NOON, **more: Any) -> dict[str, Any]:
    """What stands in each message of a PostgreSQL connector."""
    sequence = json.dumps([None if last is None else str(last), str(lsn)])
    common = {"connector": "postgresql", "name": "shop", "db": "shop", "schema": "public", "table": "t"}
    return {**common, "version": "2.7.0", "snapshot": "false", "ts_ms": at, "sequence": sequence, "lsn": lsn, **more}


def of_mysql(pos: int = 100, row: int = 0, at: int = NOON, **more: Any) -> dict[str, Any]:
    """The same of a MySQL connector."""
    place = {"file": "log.000007", "pos": pos, "row": row, "server_id": 7}
    return {"connector": "mysql", "name": "shop", "db": "shop", "table": "t", "ts_ms": at, **place, **more}


def envelope(op: str, before: Any, after: Any, said: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A change without a schema."""
    return {"op": op, "before": before, "after": after, "source": said or source(), "ts_ms": NOON + 500, **more}


def with_schema(payload: dict[str, Any], **columns: dict[str, Any]) -> dict[str, Any]:
    """The same with the schema of its columns."""
    fields = [{"field": name, "optional": True, **one} for name, one in columns.items()]
    rows = [{"field": name, "type": "struct", "fields": fields} for name in ("before", "after")]
    return {"schema": {"type": "struct", "fields": rows, "name": "shop.public.t.Envelope"}, "payload": payload}


def flat(kind: str, rows: list[dict[str, Any]], old: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A flat message of Canal."""
    types = {"id": "bigint(20)", "v": "varchar(20)", "at": "timestamp(6)", "raw": "blob"}
    common = {
        "database": "shop",
        "table": "t",
        "id": 1,
        "isDdl": False,
        "pkNames": ["id"],
        "sql": "",
        "mysqlType": types,
    }
    return {**common, "type": kind, "data": rows, "old": old, "es": NOON, "ts": NOON + 80, **more}
