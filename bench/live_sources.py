"""The two sides of `bench.live` in a database server each kind of which can be fed from, and rows committed in them."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from tests.servers import mariadb, postgres

TABLES = {"UP": "points", "DOWN": "prize"}


class Sources(ABC):
    """Databases `up`, `down` and `app`, the last one tieout's own. Rows of both sides are numbered from 1."""

    name: ClassVar[str]
    create: ClassVar[dict[str, str]]
    rows: int = 0

    def begin(self) -> None:
        """Start the server, with empty tables."""
        self.start()
        for side in TABLES:
            self.execute(f"CREATE DATABASE {side.lower()}")
            for statement in self.create[side].split(";"):
                self.execute(statement, side.lower())
        self.execute("CREATE DATABASE app")
        os.environ |= {f"LIVE_{name.upper()}": self.url(name) for name in ("up", "down", "app")}

    def load(self, pairs: int) -> None:
        """Commit so many more rows on each side, a transaction each, without waiting for any flush."""
        first, self.rows = self.rows + 1, self.rows + pairs
        loading = [subprocess.Popen(self.loader(side, first, self.rows), env=self.hasty()) for side in TABLES]
        if sum(process.wait() != 0 for process in loading):
            raise RuntimeError("loading failed")
        self.settle()

    @abstractmethod
    def start(self) -> None:
        """Start the server."""

    @abstractmethod
    def execute(self, sql: str, database: str = "") -> str:
        """What the server says to statements."""

    @abstractmethod
    def url(self, database: str) -> str:
        """Where a database is."""

    @abstractmethod
    def loader(self, side: str, first: int, last: int) -> Sequence[str]:
        """A command that commits rows one by one."""

    def hasty(self) -> dict[str, str]:
        """The environment of a loader, which need not be durable."""
        return dict(os.environ)

    @abstractmethod
    def settle(self) -> None:
        """Let no work of loading fall into what is measured."""

    @abstractmethod
    def remove(self) -> None:
        """Stop the server."""


class PostgresSources(Sources):
    """PostgreSQL that flushes at every commit."""

    name = "postgres"
    create: ClassVar[dict[str, str]] = {
        side: f"CREATE TABLE {table}"
        f" ({key} bigint, state text, sku text, quantity int, cost numeric, done timestamptz);"
        f"ALTER TABLE {table} REPLICA IDENTITY FULL; CREATE PUBLICATION tieout FOR TABLE {table}"
        for side, table, key in (("UP", "points", "id"), ("DOWN", "prize", "change_id"))
    }

    def __init__(self) -> None:
        self.server = postgres.Postgres(wal_level="logical", max_wal_size="4GB", shared_buffers="512MB")

    def start(self) -> None:
        self.server.create()

    def execute(self, sql: str, database: str = "postgres") -> str:
        return self.server.psql(sql, database or "postgres")

    def url(self, database: str) -> str:
        return self.server.url(database)

    def loader(self, side: str, first: int, last: int) -> Sequence[str]:
        rows = f"""DO $$ BEGIN
            FOR n IN {first}..{last} LOOP
                INSERT INTO {TABLES[side]} VALUES (n, 'done', 'umbrella', 1 + n % 9, 12.5 + n % 100, clock_timestamp());
                COMMIT;
            END LOOP;
        END $$"""
        where = ["-h", str(self.server.folder), "-p", str(self.server.port), "-U", "u", "-d", side.lower()]
        return [postgres.binary("psql"), "-Xq", *where, "-c", rows]

    def hasty(self) -> dict[str, str]:
        return {**os.environ, "PGOPTIONS": "-c synchronous_commit=off"}

    def settle(self) -> None:
        self.server.psql("CHECKPOINT")

    def remove(self) -> None:
        self.server.remove()


class MariaDBSources(Sources):
    """MariaDB that flushes its log and its tables at every commit, and writes a log of all three databases."""

    name = "mariadb"
    create: ClassVar[dict[str, str]] = {
        side: f"CREATE TABLE {table} ({key} bigint PRIMARY KEY, state varchar(20), sku varchar(40), quantity int,"
        " cost decimal(12, 4), done timestamp(6) NULL) CHARACTER SET utf8mb4"
        for side, table, key in (("UP", "points", "id"), ("DOWN", "prize", "change_id"))
    }

    def __init__(self) -> None:
        logged = {
            "log_bin": "log",
            "server_id": "7",
            "binlog_format": "ROW",
            "binlog_row_image": "FULL",
            "binlog_row_metadata": "FULL",
            "sync_binlog": "1",
        }
        self.server = mariadb.MariaDB(**logged, innodb_buffer_pool_size="512M", innodb_log_file_size="512M")

    def start(self) -> None:
        self.server.create()

    def execute(self, sql: str, database: str = "mysql") -> str:
        return self.server.sql(sql, database or "mysql")

    def url(self, database: str) -> str:
        return self.server.url(database)

    def load(self, pairs: int) -> None:
        self.execute("SET GLOBAL sync_binlog = 0; SET GLOBAL innodb_flush_log_at_trx_commit = 0")
        super().load(pairs)
        self.execute("SET GLOBAL sync_binlog = 1; SET GLOBAL innodb_flush_log_at_trx_commit = 1")

    def loader(self, side: str, first: int, last: int) -> Sequence[str]:
        rows = f"""BEGIN NOT ATOMIC
            FOR n IN {first}..{last} DO
                INSERT INTO {TABLES[side]} VALUES (n, 'done', 'umbrella', 1 + n % 9, 12.5 + n % 100, SYSDATE(6));
            END FOR;
        END"""
        where = ["--no-defaults", f"--socket={self.server.folder}/socket", "-u", "root", "-D", side.lower()]
        return [mariadb.binary("mariadb"), *where, "--delimiter=$$", "-e", rows]

    def settle(self) -> None:
        self.execute("FLUSH TABLES")

    def remove(self) -> None:
        self.server.remove()


KINDS: dict[str, type[PostgresSources | MariaDBSources]] = {
    "postgres": PostgresSources,
    "mariadb": MariaDBSources,
}
