"""What is recorded: an App on SQLite under load. `python -m tests.disk.workload FOLDER LOAD`, the load as JSON.

It says on a file beside the folder, `marks`, what the world outside has seen, in the order in which it saw it: an
effect of the downstream, a request that was accepted, a process that was told to be final, an error that a client was
given. In the middle the database is closed in good order and opened again; at the end it is not, as on a machine that
loses its power.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.disk.shop import ACCOUNTS, POINTS, TABLES, Prizes, Redeem
from tests.process.place import Hurried
from tieout import App, DatabaseError, Limits, Transaction
from tieout.database import sqlite_session
from tieout.database.sqlite import SqliteDatabase
from tieout.database.sqlite_session import Session

FILE = "shop.db"
CLIENTS = 8
QUICK = Limits(sweep_every=0.05, drain=1)
PATIENCE = 0.3
"""Seconds for which a client waits for the end of its process."""


class Careless(SqliteDatabase):
    """A wrong engine: it says that something is stored when it has been handed to the system."""

    setting = "OFF"

    def _session(self, *, reading: bool = False) -> Session:
        session = super()._session(reading=reading)
        session.connection.execute(f"PRAGMA synchronous = {self.setting}")
        return session


class Hasty(Careless):
    """A wrong engine: it flushes when the log is emptied, and not when it says that something is stored."""

    setting = "NORMAL"


def trusting(path: Path) -> SqliteDatabase:
    """A wrong engine: it opens a file whose last flush failed, and takes what it reads for what is on the disk."""
    sqlite_session.write_anew = Path.exists
    return SqliteDatabase(path)


ENGINES: dict[str, Any] = {"right": SqliteDatabase, "off": Careless, "normal": Hasty, "trusting": trusting}


class Load(msgspec.Struct, frozen=True):
    """How much is done, by which engine. `pages` is how long the log grows before it is emptied."""

    name: str
    requests: int = 120
    engine: str = "right"
    pages: int = 1_000


class Client:
    """Asks for redemptions, until it is refused once; tells what it was told."""

    def __init__(self, app: App, load: Load, tell: Callable[[str], None]) -> None:
        self.app, self.load, self.tell = app, load, tell

    async def run(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                await self.redeem(Redeem(request_id=f"{self.load.name}-{number}", user=f"user{number % ACCOUNTS}"))
            except DatabaseError as error:
                self.tell(f"refused {error.code}")
                self.tell(f"read {len(await self.app.list())}")
                return

    async def redeem(self, request: Redeem) -> None:
        process = await self.app.start(request)
        self.tell(f"accepted {process.id}")
        process = await self.app.wait(process.id, PATIENCE)
        if process.status == "final":
            self.tell(f"final {process.id} {process.state}")


async def main(folder: Path, load: Load) -> None:
    """Do all of it, and end at once."""
    marks = os.open(folder.parent / "marks", os.O_CREAT | os.O_RDWR | os.O_APPEND)

    def tell(line: str) -> None:
        os.write(marks, f"{line}\n".encode())

    prizes = Prizes(tell, dict(effects((folder.parent / "marks").read_text())))
    numbers = iter(range(load.requests))
    app = await opened(folder, load, prizes)
    tell("opened")
    half = itertools.islice(numbers, load.requests // 2)
    await asyncio.gather(*(Client(app, load, tell).run(half) for _ in range(CLIENTS)))
    tell("closing")
    await app.close()
    app = await opened(folder, load, prizes)
    await asyncio.gather(*(Client(app, load, tell).run(numbers) for _ in range(CLIENTS)))
    tell("ended")
    os._exit(0)


def effects(marks: str) -> Iterator[tuple[str, str]]:
    """What the downstream has done, by key."""
    for line in marks.splitlines():
        match line.split():
            case ["effect", key, outcome]:
                yield key, outcome


async def opened(folder: Path, load: Load, prizes: Prizes) -> App:
    """The App, ready for requests."""
    database = ENGINES[load.engine](folder / FILE)
    app = App("sqlite://", deps=prizes, database=database, clock=Hurried(), limits=QUICK)
    app.register(Redeem)
    await app.__aenter__()
    await database.transact(lambda tx: tx.fetch(f"PRAGMA wal_autocheckpoint = {load.pages}"))
    await database.transact(prepare)
    return app


async def prepare(tx: Transaction) -> None:
    """The tables of the business, and its accounts."""
    for statement in TABLES:
        await tx.execute(statement)
    for number in range(ACCOUNTS):
        await tx.execute(
            "INSERT INTO account (name, points) VALUES (:name, :points) ON CONFLICT DO NOTHING",
            name=f"user{number}",
            points=POINTS,
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Load)))
