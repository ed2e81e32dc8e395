"""A feed from a table that is asked again and again: for databases whose log cannot be read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tieout.contracts import Database, Transaction
from tieout.errors import ConfigError, FeedGap
from tieout.feeds.changes import TAKEN, Change, Committed, Heartbeat, Position, Row, Told

BEGUN = 10_000
"""Numbers below the highest that an open transaction may still hold when a feed is begun."""


class Page(NamedTuple):
    """Rows that have not been told, each with its key and number; the server's time before they were read.

    Where it is not `exhausted`, all rows that were not told have the number `reached`, or a higher one.
    """

    at: int
    rows: list[tuple[tuple[Any, ...], int, Row]]
    highest: int
    exhausted: bool
    reached: int


class Round(NamedTuple):
    """All rows being told, page by page: since when, by the server's time, and from which number on they were not."""

    at: int
    reached: int


class PollingFeed:
    """The rows of one table whose `column` has risen: a whole number that every insert and update draws anew.

    It sees each row as it is when it is asked for, with no `before`. What it cannot see: deletes, states between two
    looks, what a transaction has done together, and changes that leave the column as it was. A transaction draws its
    number before it commits, so rows are looked for again as far back as one may take: `longest` seconds. The column
    should be indexed. After a restart it tells again what it told within that time, at new positions.
    """

    def __init__(
        self,
        database: Database,
        *,
        table: str,
        key: Sequence[str],
        column: str,
        columns: Sequence[str],
        longest: float = 60.0,
        every: float = 1.0,
    ) -> None:
        """`database` is open; `columns` are told, the key's with them; it looks `every` so many seconds."""
        if not key or longest <= 0 or every <= 0:
            raise ConfigError("a polling feed names its key, and looks back and waits for more than no time")
        self._database, self._told_as = database, table
        self._key, self._longest, self._every = tuple(key), longest, every
        self._columns = list(dict.fromkeys([*key, *columns]))
        mark = "`" if database.dialect == "mysql" else '"'
        quoted = [mark + name.replace(mark, mark * 2) + mark for name in (*self._columns, column)]
        self._table = ".".join(mark + part.replace(mark, mark * 2) + mark for part in table.split("."))
        self._number = quoted[-1]
        order = ", ".join([self._number, *quoted[: len(set(key))]])
        self._page = (
            f"SELECT {', '.join(quoted)} FROM {self._table} "  # noqa: S608 - names are quoted, values are bound
            f"WHERE {self._number} >= :since ORDER BY {order} LIMIT :most"
        )
        self._position: Position | None = None
        self._settled = self._watermark = 0
        self._round: Round | None = None
        self._seen: dict[tuple[Any, ...], int] = {}
        self._looks: deque[tuple[float, int]] = deque()
        self._beat, self._next = asyncio.Event(), 0.0

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or now; raise `ConfigError` where the column is no whole number in every row."""
        await self.close()
        highest, missing = await self._database.read(self._range)
        if missing or isinstance(highest, bool) or not isinstance(highest, int | None):
            raise ConfigError(f"{self._told_as}: {self._number} has to be a whole number in every row")
        history = f"poll {self._told_as} by {self._number}"
        if after is not None and after.history != history:
            raise FeedGap(f"the position is of {after.history}, and not of {history}")
        self._settled = int(after.resume) if after is not None else max(0, (highest or 0) - BEGUN)
        if after is not None and (highest or 0) < self._settled:
            raise FeedGap(f"{self._told_as}: {self._number} is at {highest}, and was read up to {self._settled}")
        self._position = Position(history, after.place if after is not None else 0, str(self._settled))
        if after is None:
            await self._skip()
        return self._position

    async def take(self, most: int = TAKEN) -> Sequence[Told]:
        """Rows that were inserted or changed, and a heartbeat behind each look that has found all there is."""
        while True:
            self._opened()
            now = asyncio.get_running_loop().time()
            asked = self._beat.is_set() and self._round is None
            if asked or self._round is not None or now >= self._next:
                since = self._settled + 1 if self._round is None else self._round.reached
                page = await self._look(since, most)
                if asked:
                    self._beat.clear()
                began = page.at if self._round is None else self._round.at
                self._round = None if page.exhausted else Round(began, page.reached)
                if page.rows or asked:
                    return self._tell(page, began)
                self._noted(page, began)
                continue
            try:
                async with asyncio.timeout(self._next - now):
                    await self._beat.wait()
            except TimeoutError:
                continue

    async def beat(self) -> None:
        """Have the table looked at now, and a heartbeat told behind it."""
        self._opened()
        self._beat.set()

    async def confirm(self, position: Position) -> None:
        """Nothing: the table keeps its rows."""

    async def here(self) -> Position:
        """Behind all rows that are there and were not told; only of a feed that is open."""
        position = self._opened()
        page = await self._look(self._settled + 1, None)
        return Position(position.history, position.place + len(page.rows), position.resume)

    async def close(self) -> None:
        """Forget what was seen."""
        self._position, self._seen, self._next, self._round = None, {}, 0.0, None
        self._looks.clear()

    def _opened(self) -> Position:
        if self._position is None:
            raise ConfigError("open the feed before it is read")
        return self._position

    async def _range(self, tx: Transaction) -> tuple[Any, bool]:
        """The highest number, and whether a row has none."""
        highest = await tx.fetch_one(f"SELECT max({self._number}) AS found FROM {self._table}")  # noqa: S608 - as above
        missing = f"SELECT 1 AS found FROM {self._table} WHERE {self._number} IS NULL LIMIT 1"  # noqa: S608 - as above
        return (highest[0] if highest is not None else None), bool(await tx.fetch(missing))

    async def _look(self, begin: int, most: int | None) -> Page:
        """Up to `most` rows that have not been told, the lowest numbers first, from the number `begin` on."""

        async def look(tx: Transaction) -> Page:
            asked = await tx.fetch_one("SELECT {now} AS at")
            at = int(asked[0]) if asked is not None else 0
            found: dict[tuple[Any, ...], tuple[int, Row]] = {}
            since, size = begin, max(1_000, most or 0)
            while True:
                rows = await tx.fetch(self._page, since=since, most=size)
                for row in rows:
                    key, number = tuple(row)[: len(self._key)], int(row[len(self._columns)])
                    if self._seen.get(key) != number:
                        found[key] = (number, dict(zip(self._columns, map(_text, tuple(row)), strict=False)))
                exhausted = len(rows) < size
                if exhausted or (most is not None and len(found) >= most):
                    listed = [(key, number, row) for key, (number, row) in found.items()]
                    highest = int(rows[-1][len(self._columns)]) if rows else since - 1
                    left = [] if most is None else [number for _, number, _ in listed[most:]]
                    return Page(at, listed[:most], highest, exhausted and not left, min(left, default=highest))
                last = int(rows[-1][len(self._columns)])
                if last == since:
                    raise FeedGap(f"{self._told_as}: more than {size} rows have the same number {last}")
                since = last

        return await self._database.read(look)

    def _tell(self, page: Page, began: int) -> list[Told]:
        told: list[Told] = []
        for key, number, row in page.rows:
            self._seen[key] = number
            position = self._move(1)
            told.append(Committed(position, page.at, (Change(self._told_as, None, row),), self._watermark))
        self._noted(page, began)
        if page.exhausted:
            told.append(Heartbeat(self._move(0), began))
        return told

    def _move(self, rows: int) -> Position:
        position = self._opened()
        self._position = Position(position.history, position.place + rows, str(self._settled))
        return self._position

    def _noted(self, page: Page, began: int) -> None:
        """Take in that all was looked at since `began`.

        What was highest `longest` ago has nothing below it to come any more.
        """
        if not page.exhausted:
            return
        now = asyncio.get_running_loop().time()  # behind the look: what it saw was committed before
        self._watermark, self._next = began, now + self._every
        self._looks.append((now, page.highest))
        settled = self._settled
        while self._looks and self._looks[0][0] + self._longest < now:
            settled = max(settled, self._looks.popleft()[1])
        if settled > self._settled:
            self._settled = settled
            self._seen = {key: number for key, number in self._seen.items() if number > settled}

    async def _skip(self) -> None:
        """Take what is there for told."""
        since, exhausted = self._settled + 1, False
        while not exhausted:
            page = await self._look(since, TAKEN)
            self._seen |= {key: number for key, number, _ in page.rows}
            since, exhausted = page.reached, page.exhausted


def _text(value: Any) -> str | None:
    """A value as other feeds tell it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return repr(value) if isinstance(value, float) else str(value)
