"""One life of a process: the real App on a real database, with the business and its client in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.kill.business import TYPES
from tests.kill.downstream import Downstream, Reply
from tests.kill.points import DeadlyDatabase, Points
from tieout import App, ProcessView
from tieout.database import connect
from tieout.database.sqlite import microseconds


class Clock:
    """SQLite's time, `late` by so many microseconds."""

    def __init__(self) -> None:
        self.late = 0

    def __call__(self) -> int:
        return microseconds() + self.late


CLOCK = Clock()

DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy", "sqlite": "sqlite+aiosqlite"}


class Places:
    """Where a run leaves what it does: the companies' file and the client's log."""

    def __init__(self, folder: Path) -> None:
        self.downstream = Downstream(folder / "downstream.db")
        self.log = folder / "client.log"

    def clear(self) -> None:
        self.downstream.create()
        self.log.write_text("")

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


class Wire:
    """The way to the companies; each end of it is a point."""

    def __init__(self, downstream: Downstream, points: Points) -> None:
        self.downstream = downstream
        self.points = points

    async def price(self, name: str) -> int:
        return self._pass(f"look-up of {name}", lambda: self.downstream.price(name))

    async def send(self, service: str, key: str, args: dict[str, Any]) -> Reply:
        return self._pass(f"call to {service}", lambda: self.downstream.send(service, key, args))

    async def ask(self, key: str) -> Reply:
        return self._pass("query", lambda: self.downstream.ask(key))

    def _pass(self, what: str, do: Callable[[], Any]) -> Any:
        self.points.at(f"before {what}")
        done = do()
        self.points.at(f"after {what}")
        return done


class Node:
    """An open App, and what its surroundings do with it."""

    def __init__(self, url: str, places: Places, points: Points) -> None:
        self.url = url
        self.downstream = places.downstream
        self.points = points
        self._log = os.open(places.log, os.O_WRONLY | os.O_APPEND)
        wire = Wire(self.downstream, points)
        self.app = App(
            url, database=DeadlyDatabase(connect(url, clock=CLOCK), points), deps=wire, sweep=False, migrate=False
        )
        for kind in TYPES:
            self.app.register(kind)

    def log(self, what: str, **fields: Any) -> None:
        """Write it down, as the client or the operator that has just learnt it."""
        os.write(self._log, f"{json.dumps({'what': what} | fields)}\n".encode())

    def accepted(self, request: str, process: ProcessView) -> None:
        """The client is told that its request is accepted, and what it has come to if it has."""
        self.points.at("before the client is told")
        self.log("accepted", request=request, process=process.id)
        self._told(request, process)

    async def read(self, request: str) -> None:
        """The client reads what its request has come to."""
        for process in await self.app.list():
            if process.key == request:
                self._told(request, process)

    def engine(self) -> AsyncEngine:
        """The user's own engine, whose statements are points too."""
        scheme, _, rest = self.url.partition(":")
        engine = create_async_engine(f"{DRIVERS[scheme]}:{rest}", pool_size=1)
        sync = engine.sync_engine
        event.listen(sync, "before_cursor_execute", lambda *given: self.points.at(f"before user's {given[2][:24]}"))
        event.listen(sync, "after_cursor_execute", lambda *given: self.points.at(f"after user's {given[2][:24]}"))
        event.listen(sync, "commit", lambda _: self.points.at("before the user's COMMIT"))
        return engine

    async def execute(self, session: AsyncSession, sql: str, **params: Any) -> None:
        await session.execute(text(sql), params)

    def _told(self, request: str, process: ProcessView) -> None:
        if process.status == "final":
            self.log("told", request=request, state=process.state, result=process.result)
