"""Flat messages of Canal in JSON, about MySQL and MariaDB. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tieout.contracts import Delivery
from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Row, Tables
from tieout.feeds.messages import Said, document, lacking, named, taken_apart, wanted_of

ROWS = ("INSERT", "UPDATE", "DELETE")

REWRITES = ("TRUNCATE", "ERASE", "RENAME", "ALTER", "CREATE")
"""What is done to a table: where it is one that is told of, what became of its rows is not."""

FULL = "set binlog_row_image = FULL"

NO_TIME = "0000-00-00 00:00:00"
"""Stands for no time, as the source's own feed tells it too: no zone changes that."""


class Canal:
    """Takes Canal's flat messages apart (`canal.mq.flatMessage = true`).

    tables     what is told of, and which columns
    zone       the time zone of Canal's own program: it writes TIMESTAMP columns in that one
    heartbeat  the table that is written so that a quiet source is heard

    Canal does not say where in the log a message stands, so that what it sends again after its own restart can not be
    told from what is new: where its times go back, that is a gap.
    """

    def __init__(self, tables: Tables, *, zone: str = "UTC", heartbeat: str = "tieout_heartbeat") -> None:
        self.name = "canal"
        self._tables, self._zone, self._heartbeat = tables, ZoneInfo(zone), heartbeat

    def read(self, delivery: Delivery) -> Said | None:
        """What a message says; as `Reader.read`."""
        with taken_apart(delivery):
            return self._read(delivery)

    def _read(self, delivery: Delivery) -> Said | None:
        told = document(delivery)
        if told is None:
            return None
        kind, table = str(told.get("type") or "").upper(), str(told.get("table") or "")
        if not kind or "es" not in told:
            raise FeedGap(f"a message of {delivery.topic} is no flat message of Canal: it has {', '.join(told)[:200]}")
        at = int(told["es"])
        times = at * 1_000 + (999_999 if at % 1_000 == 0 else 999), at * 1_000
        name = named(self._tables, str(told.get("database") or ""), table)
        if table == self._heartbeat:
            return Said(*times)
        if name is None:
            return Said(*times)
        if told.get("isDdl") or kind not in ROWS:
            if kind in REWRITES:
                raise FeedGap(
                    f"{name}: {kind} {str(told.get('sql') or '')[:200]!r}: its rows are told anew, or not at all"
                )
            return Said(*times)
        return Said(*times, tuple(self._changes(name, kind, told)))

    def _changes(self, table: str, kind: str, told: dict[str, Any]) -> list[Change]:
        rows, olds, types = told.get("data") or [], told.get("old") or [], told.get("mysqlType") or {}
        if not rows:
            raise FeedGap(f"{table}: a message of {kind} tells no row")
        if kind == "UPDATE" and (len(olds) != len(rows) or not all(isinstance(one, dict) for one in olds)):
            raise FeedGap(f"{table}: rows were changed, and are not told as they were: {FULL}")
        changes = []
        for number, row in enumerate(rows):
            after = self._row(table, row, types)
            before = self._row(table, row | olds[number], types) if kind == "UPDATE" else None
            changes.append(Change(table, after, None) if kind == "DELETE" else Change(table, before, after))
        return changes

    def _row(self, table: str, row: dict[str, Any], types: dict[str, Any]) -> Row:
        """A row as the source's own feed would write it."""
        wanted = wanted_of(self._tables, table)
        lacking(table, row, wanted)
        names = list(row) if wanted is None else wanted
        return {name: self._text(table, name, row[name], str(types.get(name) or "").lower()) for name in names}

    def _text(self, table: str, name: str, value: Any, kind: str) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise FeedGap(f"{table}.{name} is no text: these are no flat messages of Canal")
        if "blob" in kind or "binary" in kind:
            return "\\x" + value.encode("latin-1", errors="strict").hex()
        if kind.startswith("timestamp"):
            return self._in_utc(table, name, value)
        return value

    def _in_utc(self, table: str, name: str, value: str) -> str:
        if value.startswith(NO_TIME):
            return value
        try:
            local = datetime.fromisoformat(value).replace(tzinfo=self._zone)
        except ValueError as error:
            raise FeedGap(f"{table}.{name} is no time: {value[:60]!r}") from error
        return local.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + "+00"
