"""The two sources: what is in them, the log of what was committed, and feeds that tell it late, again, or break off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database import connect
from tieout.errors import DatabaseUnavailable, FeedGap
from tieout.feeds import Change, Committed, Heartbeat, Position, Told
from tieout.testing.virtual import finish

if TYPE_CHECKING:
    from tests.recon_simulation.world import World

T = TypeVar("T")

POLL = 0.02
AGAIN = 6
"""Entries of the log that are told once more at the most when a feed goes on."""

COLUMNS = "(place INTEGER PRIMARY KEY, id TEXT, state TEXT, sku TEXT, cost INTEGER, done DATETIME)"
DONE = "done"


class Line(NamedTuple):
    """A row: its event has happened when its state is `DONE`, `done` is the business time in microseconds."""

    id: str
    state: str
    sku: str
    cost: int
    done: int


class Entry(NamedTuple):
    """What stands in a log, when it was written by our clock, when it may be read, what it does to which rows."""

    told: Told
    at: int
    readable: float
    changes: Sequence[tuple[int, Line | None]]


class Source:
    """A database with one table. Its clock is `offset` microseconds ahead."""

    def __init__(self, world: World, name: str, number: int) -> None:
        self.world, self.name, self.number = world, name, number
        self.offset = round(world.chance.uniform(-1, 1) * world.rates.offset * 1e6)
        self.rows: dict[int, Line] = {}
        self.log: list[Entry] = []
        self.begins = 0
        self.lags_until = self.away_until = self.deaf_until = 0.0
        self.cuts = 0
        self.inner: Any = connect("sqlite://", inline=True, clock=self.now)
        finish(self.inner.open())
        finish(self.inner.transact(lambda tx: tx.execute(f"CREATE TABLE {name} {COLUMNS}")))
        self.database = FarDatabase(world, self.inner)
        self._places = 0

    def now(self) -> int:
        return self.world.time.micros() + self.offset

    def add(self, row: Line, *, told: bool = True) -> None:
        self._places += 1
        self.commit([(self._places, row)], told=told)

    def of(self, key: str) -> list[int]:
        """The places of a key's rows."""
        return [place for place, row in self.rows.items() if row.id == key]

    def commit(self, changes: Sequence[tuple[int, Line | None]], *, told: bool = True) -> None:
        """Change rows in one transaction, which the log tells in their order."""
        entries, keys = [], set()
        for place, after in changes:
            before = self.rows.get(place)
            keys |= {row.id for row in (before, after) if row is not None}
            entries.append(Change(self.name, _texts(place, before), _texts(place, after)))
            if after is None:
                self.rows.pop(place, None)
            else:
                self.rows[place] = after
        finish(self.inner.transact(lambda tx: self._write(tx, changes)))
        self.world.judge.happened(keys)
        if told:
            now, inexact = self.now(), round(self.world.rates.inexact * 1e6)
            at, watermark = now + self.world.chance.randint(0, inexact), now - self.world.chance.randint(0, inexact)
            self._append(Committed(self._next(), at, tuple(entries), watermark), changes)

    def beat(self) -> None:
        if self.world.now >= self.deaf_until:
            self._append(Heartbeat(self._next(), self.now()), ())

    def cut(self) -> None:
        """Let the log begin here."""
        self.begins = len(self.log)
        self.cuts += 1

    def close(self) -> None:
        finish(self.inner.close())

    async def _write(self, tx: Transaction, changes: Sequence[tuple[int, Line | None]]) -> None:
        for place, row in changes:
            await tx.execute(f"DELETE FROM {self.name} WHERE place = :place", place=place)
            if row is not None:
                sql = f"INSERT INTO {self.name} VALUES (:place, :id, :state, :sku, :cost, :done)"
                await tx.execute(sql, place=place, **{**row._asdict(), "done": written(row.done)})

    def _next(self) -> Position:
        return Position(self.name, len(self.log) + 1)

    def _append(self, told: Told, changes: Sequence[tuple[int, Line | None]]) -> None:
        world = self.world
        lag = world.chance.uniform(0, world.rates.lag) if world.rates.lag and not world.is_calm else 0.0
        before = self.log[-1].readable if self.log else 0.0
        readable = max(before, world.now + lag, min(self.lags_until, world.calm_at))
        self.log.append(Entry(told, world.time.micros(), readable, changes))


class LogFeed:
    """Tells a source's log."""

    def __init__(self, world: World, source: Source) -> None:
        self._world, self._source = world, source
        self._place = self._cuts = 0

    async def open(self, after: Position | None = None) -> Position:
        world, source = self._world, self._source
        self._answers()
        self._place = len(source.log) if after is None else after.place
        if self._place < source.begins:
            raise FeedGap(f"the log begins at {source.begins}")
        self._cuts = source.cuts
        begins = Position(source.name, self._place)
        if after is not None and world.strikes(world.rates.again, "told again"):
            self._place = max(source.begins, self._place - world.chance.randint(1, AGAIN))
        return begins

    async def take(self, most: int = 100) -> Sequence[Told]:
        while True:
            self._answers()
            if self._cuts < self._source.cuts and self._place < self._source.begins:
                raise FeedGap("the log was cut off")
            most = min(most, self._world.chance.choice((1, 3, 1_000)))
            told = []
            for entry in self._source.log[self._place : self._place + most]:
                if entry.readable > self._world.now:
                    break
                told.append(entry.told)
            if told:
                self._place += len(told)
                return told
            await asyncio.sleep(POLL)

    async def beat(self) -> None:
        self._source.beat()

    async def confirm(self, position: Position) -> None:
        self._world.judge.confirmed(self._source, position.place)

    async def here(self) -> Position:
        self._answers()
        return Position(self._source.name, len(self._source.log))

    async def close(self) -> None:
        """Nothing is held."""

    def _answers(self) -> None:
        if self._world.now < self._source.away_until:
            raise DatabaseUnavailable(f"{self._source.name} is away")


class FarDatabase:
    """A database over a network: it takes its time."""

    dialect = "sqlite"

    def __init__(self, world: World, inner: Any) -> None:
        self.world, self.inner = world, inner

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        await self.pause()
        result: T = await self.inner.read(work)
        await self.pause()
        return result

    async def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncIterator[Sequence[Row]]:
        await self.pause()
        found = [rows async for rows in self.inner.stream(sql, batch=batch, **params)]
        await self.pause()
        for rows in found:
            yield rows

    async def pause(self) -> None:
        world = self.world
        is_slow = world.strikes(world.rates.slow, "database slow")
        await asyncio.sleep(world.chance.uniform(0.05, 0.4) if is_slow else world.chance.uniform(0.0002, 0.003))


def written(micros: int) -> str:
    """A moment as the sources write it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).strftime("%Y-%m-%d %H:%M:%S.%f")


def _texts(place: int, row: Line | None) -> dict[str, str | None] | None:
    if row is None:
        return None
    return {
        "place": str(place),
        **{name: str(value) for name, value in row._asdict().items()},
        "done": written(row.done),
    }
