"""Databases whose changes are fed, and what is done in them: the same for every kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from tests.servers.mariadb import FAST as FAST_MARIADB
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST as FAST_POSTGRES
from tests.servers.postgres import Postgres
from tieout.feeds import Change, Committed, Feed, Heartbeat, MySqlFeed, Position, PostgresFeed, Told

PATIENCE = 60.0
LOGGED = {
    "log_bin": "log",
    "server_id": "7",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
}
"""What a MariaDB server needs to be fed from."""


FEEDS: list[Feed] = []
"""The feeds that a test has made; they are closed when it ends, however it does."""

F = TypeVar("F", bound=Feed)


def kept(feed: F) -> F:
    """A feed that is closed when the test ends."""
    FEEDS.append(feed)
    return feed


def postgres_server() -> Postgres:
    return Postgres(**FAST_POSTGRES, wal_level="logical", max_replication_slots="50", max_wal_senders="50")


def mariadb_server(**settings: str) -> MariaDB:
    return MariaDB(**FAST_MARIADB, **(LOGGED | settings))


class PostgresSource:
    """A database of a PostgreSQL server, with a table that is published."""

    kind, lacks = "postgres", frozenset[str]()
    MONEY, MOMENT, BYTES = "numeric(20,4)", "timestamptz", "bytea"
    raw = "'\\x00ff10'"

    def __init__(self, server: Postgres) -> None:
        self.server, self.name = server, server.database()
        self.slot = f"s_{self.name}"

    def run(self, sql: str) -> str:
        return self.server.psql(sql, self.name)

    def together(self, *statements: str) -> None:
        self.run("; ".join(["BEGIN", *statements, "COMMIT"]))

    def create(self, columns: str) -> None:
        self.run(
            f"CREATE TABLE t ({columns}); ALTER TABLE t REPLICA IDENTITY FULL; CREATE PUBLICATION tieout FOR TABLE t"
        )

    def feed(self, **options: Any) -> PostgresFeed:
        return kept(PostgresFeed(self.server.url(self.name), **({"tables": ["t"], "slot": self.slot} | options)))

    def series(self, count: int) -> str:
        """What `n` from 1 to `count` comes from."""
        return f"generate_series(1, {count}) AS n"

    def released(self) -> None:
        """Wait until nobody reads the slot."""
        self.server.wait_for(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{self.slot}'", "f")

    def now(self) -> int:
        return int(self.run("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint"))

    def cut(self) -> None:
        self.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL")


class MariaDBSource:
    """A database of a MariaDB server, whose log is read by GTIDs or by file."""

    lacks = frozenset[str]()
    MONEY, MOMENT, BYTES = "decimal(20,4)", "timestamp(6) NULL", "blob"
    raw = "x'00ff10'"

    def __init__(self, server: MariaDB, by: str) -> None:
        self.server, self.name, self.by = server, server.database(), by
        self.kind = f"mariadb by {by}"

    def run(self, sql: str) -> str:
        return self.server.sql(f"SET time_zone = '+00:00'; {sql}", self.name)

    def together(self, *statements: str) -> None:
        self.run("; ".join(["BEGIN", *statements, "COMMIT"]))

    def create(self, columns: str) -> None:
        self.run(f"CREATE TABLE t ({columns}) CHARACTER SET utf8mb4")

    def feed(self, **options: Any) -> MySqlFeed:
        return kept(MySqlFeed(self.server.url(self.name), **({"tables": ["t"], "by": self.by} | options)))

    def series(self, count: int) -> str:
        """What `n` from 1 to `count` comes from."""
        return f"(SELECT seq AS n FROM seq_1_to_{count}) AS series"

    def released(self) -> None:
        """Wait until the server has noticed that nobody reads its log any more, which keeps it from purging."""
        ends = time.monotonic() + PATIENCE
        while self.readers():
            assert time.monotonic() < ends, "a reader stays"
            time.sleep(0.02)

    def purge(self) -> None:
        """Remove all files of the log but the last; the server keeps one until its rows are safe without it."""
        ends = time.monotonic() + PATIENCE
        while len(self.run("SHOW BINARY LOGS").splitlines()) > 1:
            assert time.monotonic() < ends, "the log stays"
            self.run(f"PURGE BINARY LOGS TO '{self.run('SHOW MASTER STATUS').split()[0]}'")

    def readers(self) -> list[str]:
        """The numbers of the connections that read the log."""
        return self.run("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog%'").split()

    def now(self) -> int:
        return int(self.run("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"))

    def cut(self) -> None:
        for number in self.readers():
            self.server.sql(f"KILL {number}")


Source = PostgresSource | MariaDBSource


async def told(feed: Feed, count: int = 0) -> list[Told]:
    """So much of what is told; without a number, all up to a heartbeat that is asked for now."""
    if not count:
        await feed.beat()
    found: list[Told] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count or (not count and not any(isinstance(one, Heartbeat) for one in found)):
            found += await feed.take(1)
    return found


async def committed(feed: Feed, count: int) -> list[Committed]:
    """So many transactions."""
    found: list[Committed] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += [one for one in await feed.take(1) if isinstance(one, Committed)]
    return found


async def gap(feed: Feed, after: Position | None = None) -> None:
    """Take what is there, which ends in an error; behind a position if one is given."""
    if after is not None:
        await feed.close()
        await feed.open(after)
    for _ in range(3):
        await told(feed)


def changes(found: Sequence[Told]) -> list[Change]:
    """All changes, one behind the other."""
    return [change for one in found if isinstance(one, Committed) for change in one.changes]


def ids(found: Sequence[Told]) -> list[str | None]:
    """The ids of the rows as they are after their changes."""
    return [change.after["id"] for change in changes(found) if change.after is not None]
