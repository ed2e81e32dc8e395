"""Both sources of a play on one kind of database: their tables, their logs, and how much of a log is lost."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.kill.ground import connected
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres
from tieout.errors import FeedGap
from tieout.feeds import Change, Committed, Feed, Heartbeat, MySqlFeed, Position, PostgresFeed, Told

TABLES = ("points", "prizes")
"""Upstream's table, and downstream's."""

PATIENCE = 30.0
POLL = 0.005

Rows = list[tuple[Any, ...]]


class Sources(ABC):
    """Two databases of one kind, with a table each: `place`, `id`, `state`, `sku`, `cost`, `done`."""

    dialect: str
    moment: str
    ignoring: tuple[str, str] = ("INSERT", "ON CONFLICT DO NOTHING")

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(urls)

    @abstractmethod
    def connect(self, url: str) -> Any:
        """A connection that commits each statement."""

    @abstractmethod
    def feed(self, side: int, columns: Mapping[str, Sequence[str]]) -> Feed:
        """The feed of one side."""

    @abstractmethod
    def lose(self, side: int) -> None:
        """Remove what the log of one side has, so that nobody can go on from a position that was kept."""

    @abstractmethod
    def released(self) -> None:
        """Wait until the sources have noticed that nobody reads them."""

    def run(self, side: int, *statements: str) -> None:
        """Run statements in one transaction."""
        with closing(self.connect(self.urls[side])) as connection:
            cursor = connection.cursor()
            for statement in ("BEGIN", *statements, "COMMIT"):
                cursor.execute(statement)

    def rows(self, side: int, sql: str) -> Rows:
        return rows(self.connect(self.urls[side]), sql)

    def insert(self, side: int, place: int, key: int, *, cost: int = 10, state: str = "done", done: str = "") -> str:
        """A statement that writes a row unless it is there."""
        into, unless = self.ignoring
        values = f"{place}, {key}, '{state}', 'a', {cost}, '{done}'"
        return f"{into} INTO {TABLES[side]} VALUES ({values}) {unless}"

    def make(self) -> None:
        """Make the tables."""
        columns = "place BIGINT PRIMARY KEY, id BIGINT, state VARCHAR(9), sku VARCHAR(9), cost INTEGER"
        for side, table in enumerate(TABLES):
            self.run(side, f"CREATE TABLE {table} ({columns}, done {self.moment})")
            self.prepare(side, table)

    @abstractmethod
    def prepare(self, side: int, table: str) -> None:
        """Have the table's changes logged."""


def rows(connection: Any, sql: str) -> Rows:
    """All rows; the connection is closed."""
    with closing(connection):
        cursor = connection.cursor()
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]


class SqliteSources(Sources):
    """Files whose triggers write their log."""

    dialect, moment = "sqlite", "DATETIME"
    ignoring = ("INSERT OR IGNORE", "")

    def __init__(self, folder: Path) -> None:
        super().__init__([f"sqlite:///{folder}/{table}.db" for table in TABLES])

    def connect(self, url: str) -> Any:
        return connected(url)

    def prepare(self, side: int, table: str) -> None:
        names = ("place", "id", "state", "sku", "cost", "done")
        row = {}
        for of in ("OLD", "NEW"):
            texts = ", ".join(f"'{name}', CAST({of}.{name} AS TEXT)" for name in names)
            row[of] = f"json_object({texts})"
        told = {"INSERT": ("NULL", row["NEW"]), "UPDATE": (row["OLD"], row["NEW"]), "DELETE": (row["OLD"], "NULL")}
        logs = ["CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, was TEXT, is_now TEXT)"]
        now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        for act, (was, is_now) in told.items():
            insert = f"INSERT INTO log (at, was, is_now) VALUES ({now}, {was}, {is_now})"
            logs.append(f"CREATE TRIGGER {act}s AFTER {act} ON {table} BEGIN {insert}; END")
        self.run(side, *logs)
        with closing(self.connect(self.urls[side])) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def feed(self, side: int, columns: Mapping[str, Sequence[str]]) -> Feed:
        return LogFeed(self, side)

    def released(self) -> None:
        """Whoever reads a file holds nothing."""

    def lose(self, side: int) -> None:
        self.run(side, "DELETE FROM log")


class LogFeed:
    """Tells the log of a file."""

    def __init__(self, sources: SqliteSources, side: int) -> None:
        self._sources, self._side = sources, side
        self._place, self._again = 0, 3

    async def open(self, after: Position | None = None) -> Position:
        begins, ends = self._bounds()
        self._place = ends if after is None else after.place
        if self._place < begins:
            raise FeedGap(f"the log begins behind {begins}")
        begun = self._place
        if after is not None:
            self._place = max(begins, self._place - self._again)
        return Position(TABLES[self._side], begun)

    async def take(self, most: int = 100) -> Sequence[Told]:
        while True:
            found = self._read(f"SELECT n, at, was, is_now FROM log WHERE n > {self._place} ORDER BY n LIMIT {most}")
            if found:
                self._place = found[-1][0]
                return [self._told(*row) for row in found]
            await asyncio.sleep(POLL)

    async def beat(self) -> None:
        now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        self._sources.run(self._side, f"INSERT INTO log (at) VALUES ({now})")

    async def confirm(self, position: Position) -> None:
        """Nothing is forgotten."""

    async def here(self) -> Position:
        return Position(TABLES[self._side], self._bounds()[1])

    async def close(self) -> None:
        """Nothing is held."""

    def _bounds(self) -> tuple[int, int]:
        sql = "SELECT (SELECT min(n) FROM log), (SELECT seq FROM sqlite_sequence WHERE name = 'log')"
        first, last = self._read(sql)[0]
        return (last or 0 if first is None else first - 1), last or 0

    def _read(self, sql: str) -> Rows:
        return self._sources.rows(self._side, sql)

    def _told(self, place: int, at: int, was: str | None, is_now: str | None) -> Told:
        table = TABLES[self._side]
        position = Position(table, place)
        if was is None and is_now is None:
            return Heartbeat(position, at)
        before, after = (None if text is None else json.loads(text) for text in (was, is_now))
        return Committed(position, at, (Change(table, before, after),), at)


class PostgresSources(Sources):
    """Two databases of a server, read through replication slots."""

    dialect, moment = "postgres", "timestamptz"

    def __init__(self, server: Postgres) -> None:
        self.server = server
        names = [server.database() for _ in TABLES]
        self.slots = [f"fed_{name}" for name in names]
        super().__init__([server.url(name) for name in names])

    def connect(self, url: str) -> Any:
        return connected(url)

    def prepare(self, side: int, table: str) -> None:
        self.run(side, f"ALTER TABLE {table} REPLICA IDENTITY FULL", f"CREATE PUBLICATION tieout FOR TABLE {table}")

    def feed(self, side: int, columns: Mapping[str, Sequence[str]]) -> Feed:
        return PostgresFeed(self.urls[side], tables=columns, slot=self.slots[side], publication="tieout")

    def released(self) -> None:
        names = ", ".join(f"'{slot}'" for slot in self.slots)
        sql = f"SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name IN ({names})"
        _until(lambda: self.rows(0, sql) == [(0,)])

    def lose(self, side: int) -> None:
        self.released()
        self.rows(side, f"SELECT pg_drop_replication_slot('{self.slots[side]}')")


class MariaDBSources(Sources):
    """Two databases of a server, read from its binlog."""

    dialect, moment = "mysql", "DATETIME(6)"
    ignoring = ("INSERT IGNORE", "")

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        super().__init__([server.url(server.database()) for _ in TABLES])

    def connect(self, url: str) -> Any:
        return connected(url)

    def feed(self, side: int, columns: Mapping[str, Sequence[str]]) -> Feed:
        return MySqlFeed(self.urls[side], tables=columns)

    def prepare(self, side: int, table: str) -> None:
        """The server logs every table."""

    def released(self) -> None:
        sql = "SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog%'"
        _until(lambda: self.rows(0, sql) == [(0,)])

    def lose(self, side: int) -> None:
        """The log is of the whole server: both sides lose it."""
        self.released()
        self.rows(side, "FLUSH BINARY LOGS")
        _until(self._is_purged)

    def _is_purged(self) -> bool:
        ((file, *_),) = self.rows(0, "SHOW MASTER STATUS")
        self.rows(0, f"PURGE BINARY LOGS TO '{file}'")
        return len(self.rows(0, "SHOW BINARY LOGS")) == 1


def _until(asked: Any) -> None:
    ends = time.monotonic() + PATIENCE
    while not asked():
        if time.monotonic() > ends:
            raise TimeoutError("a source does not come to rest")
        time.sleep(0.01)
