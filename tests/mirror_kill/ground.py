"""The database under a play: saved as it is with an empty copy and with a loaded one, and put back before each play."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

from tests.kill.ground import connected

TABLES = (
    *("tieout_mirror", "tieout_mirror_group", "tieout_mirror_item", "tieout_mirror_word", "tieout_mirror_suspect"),
    *("tieout_mirror_inbox", "tieout_mirror_doubt", "tieout_mirror_stream", "tieout_mirror_sighting"),
    *("tieout_mirror_demand", "tieout_mirror_choice", "tieout_lease", "tieout_budget", "tieout_inbox"),
)
"""What a play changes."""


class Ground(Protocol):
    """One database of a kind."""

    dialect: str
    url: str

    def save(self, name: str) -> None:
        """Keep it as it is now."""
        ...

    def put_back(self, name: str) -> None:
        """Make it as it was when it was saved under this name."""
        ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...
    def run(self, sql: str) -> None: ...
    def close(self) -> None: ...


class SqliteGround:
    """A file, put back by copying one that was saved."""

    dialect = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mirror.db"
        self.url = f"sqlite:///{self.path}"

    def save(self, name: str) -> None:
        db = sqlite3.connect(self.path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        shutil.copyfile(self.path, self.path.with_suffix(f".{name}"))

    def put_back(self, name: str) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(self.path.with_suffix(f".{name}"), self.path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self.path)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def run(self, sql: str) -> None:
        with sqlite3.connect(self.path) as db:
            db.execute(sql)
        db.close()

    def close(self) -> None:
        """Nothing is kept open."""


class ServerGround:
    """A database of a server, whose rows are deleted and inserted again."""

    def __init__(self, dialect: str, url: str, connection: Any) -> None:
        self.dialect = dialect
        self.url = url
        self.connection = connection
        self._saved: dict[str, dict[str, list[tuple[Any, ...]]]] = {}

    def save(self, name: str) -> None:
        self._saved[name] = {table: self.rows(f"SELECT * FROM {table}") for table in TABLES}

    def put_back(self, name: str) -> None:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN")
        for table, rows in self._saved[name].items():
            cursor.execute(f"DELETE FROM {table}")
            if rows:
                marks = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        cursor.execute("COMMIT")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]

    def run(self, sql: str) -> None:
        self.connection.cursor().execute(sql)

    def close(self) -> None:
        self.connection.close()


def ground_of(dialect: str, url: str, folder: Path) -> Ground:
    """The ground on a file in a folder, or on a database that a server has at `url`."""
    if dialect == "sqlite":
        return SqliteGround(folder)
    return ServerGround(dialect, url, connected(url))
