"""Sources whose changes are fed: files of SQLite that write their own log, which may be late, doubled, or cut off."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tieout.errors import DatabaseUnavailable, FeedGap
from tieout.feeds import Change, Committed, Heartbeat, Position, Told

POLL = 0.005


class Source:
    """A database, and the log of what was committed to it. `held` transactions at its end are not told yet."""

    def __init__(self, folder: Path, name: str, *statements: str) -> None:
        self.name, self.file = name, folder / f"{name}.db"
        self.log: list[Told] = []
        self.held = 0
        self.begins = 0
        self.doubles = False
        self.broken = False
        self.deaf = False
        self.confirmed = 0
        with closing(sqlite3.connect(self.file)) as database, database:
            for statement in statements:
                database.execute(statement)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    def run(self, *statements: str, told: bool = True) -> None:
        """Change rows in one transaction; unless it is `told`, behind the feed's back."""
        with closing(sqlite3.connect(self.file)) as database, database:
            before = self._rows(database)
            for statement in statements:
                database.execute(statement)
            after = self._rows(database)
        changes = [
            Change(place[0], before.get(place), after.get(place))
            for place in before.keys() | after.keys()
            if before.get(place) != after.get(place)
        ]
        if told and changes:
            self._append(tuple(changes))

    def beat(self) -> None:
        if not self.deaf:
            self.log.append(Heartbeat(self._next(), now()))

    def feed(self, columns: Mapping[str, Sequence[str]]) -> LogFeed:
        return LogFeed(self)

    def _append(self, changes: tuple[Change, ...]) -> None:
        at = now()
        self.log.append(Committed(self._next(), at, changes, at))

    def _next(self) -> Position:
        return Position(self.name, len(self.log) + 1)

    def _rows(self, database: sqlite3.Connection) -> dict[tuple[str, int], dict[str, str | None]]:
        found = {}
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f'SELECT rowid AS place, * FROM "{table}"')
            names = [column[0] for column in cursor.description[1:]]
            for place, *values in cursor:
                texts = [None if value is None else str(value) for value in values]
                found[table, place] = dict(zip(names, texts, strict=True))
        return found


class LogFeed:
    """Tells a source's log."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._place = 0

    async def open(self, after: Position | None = None) -> Position:
        if self.source.broken:
            raise DatabaseUnavailable(f"{self.source.name} is away")
        self._place = len(self.source.log) if after is None else after.place
        if self._place < self.source.begins:
            raise FeedGap(f"the log begins at {self.source.begins}")
        if self.source.doubles and after is not None:
            self._place = max(self.source.begins, self._place - 50)
        return Position(self.source.name, self._place)

    async def take(self, most: int = 100) -> Sequence[Told]:
        while True:
            if self.source.broken:
                raise DatabaseUnavailable(f"{self.source.name} is away")
            end = len(self.source.log) - self.source.held
            if self._place < end:
                told = self.source.log[self._place : min(end, self._place + most)]
                self._place += len(told)
                return told
            await asyncio.sleep(POLL)

    async def beat(self) -> None:
        self.source.beat()

    async def confirm(self, position: Position) -> None:
        if self.source.broken:
            raise DatabaseUnavailable(f"{self.source.name} is away")
        self.source.confirmed = max(self.source.confirmed, position.place)

    async def here(self) -> Position:
        return Position(self.source.name, len(self.source.log))

    async def close(self) -> None:
        pass


def now() -> int:
    return time.time_ns() // 1_000
