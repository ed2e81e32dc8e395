"""The first load of everything, with limits lifted: how long until every cell is published, durable and searchable.

`python -m bench.first_load [--queries N] [--suppliers N] [--db URL]`. Each query is about one hotel of 10 rooms and 10
of its 60 days, over HTTP, with a body that the suppliers make for it in a process of their own. The node follows all
suppliers in one process, on a private PostgreSQL that flushes at every commit. It is done when its view finds all rooms
by all of their days. The last line is one JSON object: seconds until all was published, and until it was searchable;
the seconds of computing of each process (of the database as well), and the most memory of the node, in MB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop

import tieout
from bench.first_load_http import Http, HttpError
from bench.rooms import DAYS, ROOMS
from bench.turns import tell
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tieout.mirror import Fetched, Group, Mirror, days, flag, int16, money, shape, tier, tiers
from tieout.mirror.sightings import Sightings

WINDOW = 10
"""Days of a query."""

LIFTED = "1000000/min"
CONCURRENCY = 8
"""Queries at a time that each supplier bears, a few of them kept for orders and readers."""

EVERY = 0.25
PATIENCE = 1_200.0

DURABLE = {"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "100"}
POOL = 16


class Hotels:
    """One supplier, as a user writes it."""

    shapes = (shape("hotel", max_days=WINDOW),)

    def __init__(self, http: Http, name: str) -> None:
        self._http = http
        self._name = name

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        page, more = 0, True
        while more:
            told = await self._get(f"hotels?page={page}")
            yield [Group(hotel, rooms) for hotel, rooms in told["hotels"].items()]
            page, more = page + 1, told["more"]

    async def fetch(self, group: str, first: date, count: int) -> Fetched:
        told = await self._get(f"{group}?first={first}&days={count}")
        return Fetched(told["rooms"], told["complete"])

    async def check(self, item: str, first: date, count: int) -> None:
        return None

    async def _get(self, path: str) -> Any:
        return msgspec.json.decode(await self._http.get(f"/{self._name}/{path}"))


def node(db: str, suppliers: int, http: Http) -> tuple[tieout.App, Mirror]:
    """An App that follows all suppliers."""
    app = tieout.App(db, migrate=True)
    made = app.mirror(
        "rooms",
        axis=days(DAYS),
        fields={"price": money(), "stock": int16(), "open": flag()},
        policy=tiers(all=tier(days(DAYS), every="1d")),
    )
    for number in range(suppliers):
        made.supplier(f"s{number}", LIFTED, concurrency=CONCURRENCY)(Hotels(http, f"s{number}"))
    return app, made


async def load(db: str, suppliers: int, hotels: int, port: int) -> dict[str, Any]:
    """Load everything; what it took."""
    queries, items = suppliers * hotels * DAYS // WINDOW, suppliers * hotels * ROOMS
    http = Http(port)
    await _figures(http)
    app, made = node(db, suppliers, http)
    begun, cpu = time.perf_counter(), time.process_time()
    async with app:
        await _published(made, suppliers + queries)
        published, cpu_published = time.perf_counter() - begun, time.process_time() - cpu
        view = await made.view()
        found = view.search(datetime.now(UTC).date(), DAYS, limit=1).total
        assert found == items, f"{found} of {items} rooms are found by all of their days"
        searchable = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
        figures = await _figures(http)
    http.close()
    return {
        "queries": figures["queries"],
        "cells": items * DAYS,
        "published_s": round(published, 1),
        "searchable_s": round(searchable, 1),
        "cpu_node_s": round(cpu_published, 1),
        "cpu_suppliers_s": round(figures["cpu"], 1),
        "node_mb": memory,
    }


async def _published(made: Mirror, wanted: int) -> None:
    """Wait until so many observations are committed, catalogues counted."""
    database = made.following("s0").world.database
    sightings, begun = Sightings(database.dialect), time.perf_counter()
    while True:
        heads, _ = await database.read(sightings.heads)
        seconds, done = time.perf_counter() - begun, sum(heads.values())
        if done >= wanted:
            return
        if seconds > PATIENCE:
            raise SystemExit(f"{done} of {wanted} observations were published in {seconds:.0f} s")
        tell(f"{seconds:6.1f} s {done:8} of {wanted}")
        await asyncio.sleep(max(EVERY, seconds / 10))


async def _figures(http: Http) -> dict[str, Any]:
    while True:
        try:
            figures: dict[str, Any] = msgspec.json.decode(await http.get("/figures"))
            return figures
        except HttpError:
            await asyncio.sleep(EVERY)


@contextmanager
def suppliers_at(port: int, hotels: int) -> Iterator[int]:
    """The suppliers, in a process of their own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.first_load_suppliers", str(port), str(hotels)],
        cwd=Path(__file__).parent.parent,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def cpu_of(parent: int) -> float:
    """The seconds of computing of a process and of its children, those that have ended counted."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, (_, ppid, *rest) = stat.parent.name, stat.read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if str(parent) in {pid, ppid}:
            ticks += sum(map(int, rest[9:13] if pid == str(parent) else rest[9:11]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Load everything and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=180_000)
    parser.add_argument("--suppliers", type=int, default=200)
    parser.add_argument("--db", help="a database of your own; nothing is removed from it")
    options = parser.parse_args()
    hotels = options.queries * WINDOW // DAYS // options.suppliers
    server = None if options.db else Postgres(**DURABLE)
    try:
        if server is not None:
            server.create()
        db = options.db or server.url(pool=POOL)
        with suppliers_at(free_port(), hotels) as port:
            told = uvloop.run(load(db, options.suppliers, hotels, port))
        if server is not None:
            told["cpu_database_s"] = round(cpu_of(server.process.pid), 1)
        print(json.dumps({"bench": "first_load", "suppliers": options.suppliers, **told}))
    finally:
        if server is not None:
            server.remove()


if __name__ == "__main__":
    main()
