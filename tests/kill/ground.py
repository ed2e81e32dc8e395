"""The database under a run: made once, emptied before each run, read by its driver alone."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import pymysql

from tests.kill.business import POINTS, TABLES

Make = Callable[[str], None]
"""Makes tieout's tables in a database."""

FILL = (f"INSERT INTO account (name, points) VALUES ('ann', {POINTS})",)
HEAD = "tieout_audit_head"
"""The end of the audit's chain: its one row stays."""

PATIENCE = 30.0
"""Seconds that a connection waits for a file that another one writes."""

LAST = ("tieout_alarm", "tieout_process")
"""Tables that others point to."""


class Ground(Protocol):
    """One database of a kind."""

    dialect: str
    url: str

    def make(self, make: Make) -> None:
        """Give it all tables."""
        ...

    def empty(self) -> None:
        """Put back its first rows."""
        ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...
    def close(self) -> None: ...


class SqliteGround:
    """A file, put back by copying one that was made."""

    dialect = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "business.db"
        self.made = folder / "made.db"
        self.url = f"sqlite:///{self.path}"

    def make(self, make: Make) -> None:
        make(self.url)
        with sqlite3.connect(self.path) as db:
            for statement in (*TABLES, *FILL):
                db.execute(statement)
            db.commit()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        shutil.copyfile(self.path, self.made)

    def empty(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(self.made, self.path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self.path)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def close(self) -> None:
        """Nothing is kept open."""


class ServerGround:
    """A database of a server, whose rows are deleted."""

    def __init__(self, dialect: str, url: str, connection: Any) -> None:
        self.dialect = dialect
        self.url = url
        self.connection = connection
        self._emptying: Sequence[str] = ()

    def make(self, make: Make) -> None:
        make(self.url)
        for statement in TABLES:
            self._run(statement)
        schema = "current_schema()" if self.dialect == "postgres" else "DATABASE()"
        names = [
            name
            for (name,) in self.rows(f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}")
            if not name.startswith("tieout_migration") and name != HEAD
        ]
        names.sort(key=lambda name: name in LAST)
        self._emptying = [f"DELETE FROM {name}" for name in names]
        self.empty()

    def empty(self) -> None:
        for statement in (*self._emptying, *FILL):
            self._run(statement)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]

    def close(self) -> None:
        self.connection.close()

    def _run(self, sql: str) -> None:
        self.connection.cursor().execute(sql)


def connected(url: str) -> Any:
    """A connection by the driver alone to any kind of database, which commits each statement."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=PATIENCE)
    if parts.scheme.startswith("postgres"):
        return psycopg.connect(url, autocommit=True)
    place = {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": parts.path[1:]}
    return pymysql.connect(**place, autocommit=True)
