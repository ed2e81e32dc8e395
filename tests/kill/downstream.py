"""The other companies: a file of their own, written by whoever calls them, and durable before they answer.

Each keeps what it was sent, and does a thing once for each key. The first word of what is ordered says how it behaves:
"mug" is answered at once; of "lost" the answers to sends never arrive; "slow" is done and answered later; of "none"
there are none left.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

TABLES = """
CREATE TABLE sent (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, service TEXT NOT NULL, args TEXT NOT NULL);
CREATE TABLE effect (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, service TEXT NOT NULL, code TEXT NOT NULL);
CREATE TABLE look_up (seq INTEGER PRIMARY KEY, name TEXT NOT NULL);
"""


class Reply(NamedTuple):
    """What a company says: "done" with its code, "refused", "later", "missing" or nothing at all ("lost")."""

    word: str
    code: str = ""


class Downstream:
    """All companies, in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        self.path.unlink(missing_ok=True)
        self._run(lambda db: db.executescript(TABLES))

    def send(self, service: str, key: str, args: dict[str, Any]) -> Reply:
        """Do it, unless this key was seen; all companies but "pigeons" know their keys again."""

        def work(db: sqlite3.Connection) -> Reply:
            mood = args["sku"].partition("-")[0]
            text = json.dumps(args, sort_keys=True)
            db.execute("INSERT INTO sent (key, service, args) VALUES (?, ?, ?)", (key, service, text))
            if mood == "none":
                return Reply("refused", "sold-out")
            code = self._code(db, key)
            if code is None or service == "pigeons":
                code = f"{service}-{db.execute('SELECT count(*) FROM sent').fetchone()[0]}"
                db.execute("INSERT INTO effect (key, service, code) VALUES (?, ?, ?)", (key, service, code))
            return Reply({"lost": "lost", "slow": "later"}.get(mood, "done"), code)

        return self._run(work)

    def ask(self, key: str) -> Reply:
        """What became of a key."""

        def work(db: sqlite3.Connection) -> Reply:
            code = self._code(db, key)
            if code is not None:
                return Reply("done", code)
            sent = db.execute("SELECT 1 FROM sent WHERE key = ?", (key,)).fetchone()
            return Reply("refused", "sold-out") if sent else Reply("missing")

        return self._run(work)

    def price(self, name: str) -> int:
        """Another price each time that somebody asks: who asks twice and mixes the answers is found out."""

        def work(db: sqlite3.Connection) -> int:
            db.execute("INSERT INTO look_up (name) VALUES (?)", (name,))
            return 100 + db.execute("SELECT count(*) FROM look_up").fetchone()[0]

        return self._run(work)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """What they have kept."""
        return self._run(lambda db: db.execute(f"SELECT * FROM {table} ORDER BY seq").fetchall())

    def _code(self, db: sqlite3.Connection, key: str) -> str | None:
        row = db.execute("SELECT code FROM effect WHERE key = ? ORDER BY seq LIMIT 1", (key,)).fetchone()
        return None if row is None else row[0]

    def _run(self, work: Any) -> Any:
        # A process that is killed loses nothing that the system has taken; power is not cut here.
        db = sqlite3.connect(self.path, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            result = work(db)
            db.execute("COMMIT") if db.in_transaction else None
            return result
        finally:
            db.close()
