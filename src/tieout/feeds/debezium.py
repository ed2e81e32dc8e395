"""Messages of Debezium in JSON, with a schema or without: envelopes, heartbeats, bounds of transactions. Pure."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from tieout.contracts import Delivery
from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Row, Tables
from tieout.feeds.messages import (
    MICROS,
    Fraction,
    Said,
    Written,
    day,
    document,
    instant,
    lacking,
    moment,
    named,
    span,
    taken_apart,
    wanted_of,
    without_public,
)

UNAVAILABLE = "__debezium_unavailable_value"
"""Stands for a value that the database's log did not have: `unavailable.value.placeholder`, unless set otherwise."""

PRECISE = 15
"""Digits that a floating-point number keeps whatever they are."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?|NaN|-?Infinity")

FULL = "set REPLICA IDENTITY FULL on PostgreSQL, binlog_row_image = FULL on MySQL and MariaDB"

Fields: TypeAlias = dict[str, dict[str, Any]]
"""The schemas of columns, by name."""

COUNTED: dict[str, Written] = {
    "io.debezium.time.Date": "days",
    "org.apache.kafka.connect.data.Date": "days",
    "io.debezium.time.Timestamp": "ms",
    "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us",
    "io.debezium.time.NanoTimestamp": "ns",
    "io.debezium.time.ZonedTimestamp": "iso",
}
"""How times are written, by the names of their types."""

EXACT = ("NUMERIC", "DECIMAL")
"""Types of columns whose values no floating-point number holds."""


class Debezium:
    """Takes Debezium's messages apart.

    tables       what is told of, and which columns; a table of PostgreSQL's schema "public" by its bare name
    written      how columns are written, by table, where messages come without a schema and it is not as text
    placeholder  the connector's `unavailable.value.placeholder`
    heartbeat    the table that is written so that a quiet source is heard

    Rows that a snapshot has read are no changes, and are not told. A change without its row as it was is a gap, which
    names the setting.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        written: Mapping[str, Mapping[str, Written]] | None = None,
        placeholder: str = UNAVAILABLE,
        heartbeat: str = "tieout_heartbeat",
    ) -> None:
        self.name = "debezium"
        self._tables, self._heartbeat = without_public(tables), heartbeat
        self._written = {name.removeprefix("public."): columns for name, columns in (written or {}).items()}
        raw = placeholder.encode()
        self._unavailable = {placeholder, b64encode(raw).decode(), raw.hex()}

    def read(self, delivery: Delivery) -> Said | None:
        """What a message says; as `Reader.read`."""
        with taken_apart(delivery):
            return self._read(delivery)

    def _read(self, delivery: Delivery) -> Said | None:
        told = document(delivery)
        if told is None:
            return None
        has_schema = set(told) == {"schema", "payload"}
        payload = told["payload"] if has_schema else told
        if not isinstance(payload, dict):
            return None
        if "status" in payload and "id" in payload:
            return self._bound(payload)
        if "op" not in payload or "source" not in payload:
            return Said() if set(payload) <= {"ts_ms", "ts_us", "ts_ns"} else _unknown(delivery, payload)
        return self._change(delivery, payload, _fields(told["schema"]) if has_schema else {})

    def _bound(self, payload: dict[str, Any]) -> Said:
        """Where a transaction begins or ends; at its end, how many changes of each table it has had."""
        if payload["status"] == "BEGIN":
            return Said(transaction=payload["id"], begins=True)
        counts: dict[str, int] = {}
        for one in payload.get("data_collections") or ():
            space, _, table = str(one["data_collection"]).rpartition(".")
            name = named(self._tables, space.rpartition(".")[2], table)
            if name is not None:
                counts[name] = int(one["event_count"])
        return Said(transaction=payload["id"], ends=counts)

    def _change(self, delivery: Delivery, payload: dict[str, Any], fields: Fields) -> Said:
        source, op = payload["source"], payload["op"]
        space, table = str(source.get("schema") or source.get("db") or ""), str(source.get("table") or "")
        if op == "r" or source.get("snapshot") in ("true", "first", "last", "incremental", True):
            return Said(source=_writer(source))
        at, watermark = _times(source)
        said = Said(at, watermark, source=_writer(source), place=_place(source), transaction=_transaction(payload))
        if table == self._heartbeat:
            return said
        name = named(self._tables, space, table)
        if name is None or op == "m":
            return said
        if op == "t":
            raise FeedGap(f"{name} was truncated, which tells no row")
        if op not in "cud":
            return _unknown(delivery, payload)
        flags = ("f", "t") if source.get("connector") == "postgresql" else ("0", "1")
        change = self._told(name, op, payload, fields, _key(delivery), flags)
        return msgspec.structs.replace(said, changes=(change,))

    def _told(
        self, table: str, op: str, payload: dict[str, Any], fields: Fields, key: set[str], flags: tuple[str, str]
    ) -> Change:
        before, after = payload.get("before"), payload.get("after")
        if op != "c" and not isinstance(before, dict):
            raise FeedGap(f"{table}: a row was changed, and is not told as it was: {FULL}")
        if op != "d" and not isinstance(after, dict):
            raise FeedGap(f"{table}: a row was written, and is not told as it is")
        if op == "c":
            before = None
        elif op == "d" and isinstance(before, dict):
            after = None
            rest = [value for name, value in before.items() if name not in key]
            if key and rest and all(value is None for value in rest):
                raise FeedGap(f"{table}: a row was deleted, and only its key is told: {FULL}")
        if isinstance(before, dict) and isinstance(after, dict):
            after = {name: before.get(name) if self._lacks(value) else value for name, value in after.items()}
        return Change(table, self._row(table, before, fields, flags), self._row(table, after, fields, flags))

    def _lacks(self, value: Any) -> bool:
        return isinstance(value, str) and value in self._unavailable

    def _row(self, table: str, row: dict[str, Any] | None, fields: Fields, flags: tuple[str, str]) -> Row | None:
        """A row as the source's own feed would write it."""
        if row is None:
            return None
        wanted, written = wanted_of(self._tables, table), self._written.get(table, {})
        lacking(table, row, wanted)
        found: dict[str, str | None] = {}
        for name in row if wanted is None else wanted:
            value = row[name]
            if self._lacks(value):
                raise FeedGap(f"{table}.{name} is not told, since it was not changed: {FULL}")
            try:
                if isinstance(value, bool):
                    value = flags[value]
                found[name] = None if value is None else _text(value, fields.get(name), written.get(name))
            except (ValueError, TypeError, KeyError) as error:
                raise FeedGap(f"{table}.{name} cannot be read exactly: {error}") from error
        return found


def _text(value: Any, field: dict[str, Any] | None, written: Written | None) -> str:
    """A value as text, by its schema if there is one, else by what was said of its column."""
    if field is None:
        return _by_word(value, written)
    name, parameters = field.get("name") or "", field.get("parameters") or {}
    if name == "org.apache.kafka.connect.data.Decimal":
        return _decimal(value, int(parameters["scale"]))
    if name == "io.debezium.data.VariableScaleDecimal":
        return _decimal(value["value"], int(value["scale"]))
    if name in COUNTED:
        return _time(value, COUNTED[name])
    if name in {"io.debezium.time.MicroTime", "io.debezium.time.Time", "io.debezium.time.NanoTime"}:
        times, parts = {"io.debezium.time.Time": (1_000, 1), "io.debezium.time.NanoTime": (1, 1_000)}.get(name, (1, 1))
        return span(value * times // parts)
    if field.get("type") == "bytes":
        return "\\x" + _raw(value).hex()
    if field.get("type") in {"double", "float"} and _column(parameters).startswith(EXACT):
        raise ValueError(f"{value} is a floating-point number of a decimal column: set decimal.handling.mode=string")
    return _plain(value)


def _by_word(value: Any, written: Written | None) -> str:
    """A value without a schema; what cannot be told from something else has to be said."""
    if written == "bytes":
        return "\\x" + _raw(value).hex()
    if written == "number":
        text = _plain(value)
        if (isinstance(value, Fraction) and len(text.strip("-").replace(".", "")) > PRECISE) or not NUMBER.fullmatch(
            text
        ):
            raise ValueError(f"{text[:60]!r} is no exact number: set decimal.handling.mode=string")
        return text
    if written in {"days", "iso", "ns", *MICROS}:
        return _time(value, written)
    if isinstance(value, Fraction) and len(value.strip("-").replace(".", "")) > PRECISE:
        raise ValueError(f"{value[:60]} has more digits than its number keeps: set decimal.handling.mode=string")
    return _plain(value)


def _time(value: Any, written: Written | None) -> str:
    if written == "iso":
        return instant(str(value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{str(value)[:60]!r} is no time that is counted in {written}")
    if written == "days":
        return day(value)
    return moment(value // 1_000 if written == "ns" else value * MICROS[written or "us"])


def _plain(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def _decimal(value: Any, scale: int) -> str:
    """A number of any length, from its unscaled digits."""
    unscaled = int.from_bytes(_raw(value), "big", signed=True)
    if scale <= 0:
        return str(unscaled * 10**-scale)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _raw(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:60]!r} is no base64")
    try:
        return b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{value[:60]!r} is no base64") from error


def _fields(schema: Any) -> Fields:
    """The schemas of the columns."""
    parts = {one.get("field"): one for one in schema.get("fields") or ()}
    row = parts.get("after") or parts.get("before") or {}
    return {one["field"]: one for one in row.get("fields") or ()}


def _column(parameters: Mapping[str, Any]) -> str:
    return str(parameters.get("__debezium.source.column.type", "")).upper()


def _key(delivery: Delivery) -> set[str]:
    """The columns of a message's key; none where it has none that can be read."""
    try:
        key = json.loads(delivery.key)
    except ValueError:
        return set()
    key = key.get("payload", key) if isinstance(key, dict) else key
    return set(key) if isinstance(key, dict) else set()


def _writer(source: Mapping[str, Any]) -> str:
    """Who has written a message: another one does not go on where this one was."""
    return "/".join(str(source.get(name) or "") for name in ("connector", "name", "server_id"))


def _place(source: Mapping[str, Any]) -> tuple[int, ...]:
    """Where in the source's log a change stands: behind the last commit and at its own place; or in a file, by row."""
    if source.get("file"):
        number = str(source["file"]).rpartition(".")[2]
        return (int(number) if number.isdecimal() else 0, int(source.get("pos") or 0), int(source.get("row") or 0))
    last, own = json.loads(source.get("sequence") or "[null, null]")
    return () if last is None or own is None else (int(last), int(own))


def _times(source: Mapping[str, Any]) -> tuple[int, int]:
    """When a change was committed, no earlier, and what was told by then; logs of MySQL count in seconds."""
    if isinstance(source.get("ts_us"), int) and source["ts_us"] % 1_000:
        return source["ts_us"], source["ts_us"]
    at = int(source.get("ts_ms") or 0)
    is_coarse = source.get("connector") in {"mysql", "mariadb"} and at % 1_000 == 0
    return at * 1_000 + (999_999 if is_coarse else 999), at * 1_000


def _transaction(payload: Mapping[str, Any]) -> str:
    block = payload.get("transaction")
    return str(block["id"]) if isinstance(block, dict) else ""


def _unknown(delivery: Delivery, payload: Mapping[str, Any]) -> Said:
    raise FeedGap(
        f"a message of {delivery.topic} is none of Debezium's that is known: it has {', '.join(payload)[:200]}"
    )
