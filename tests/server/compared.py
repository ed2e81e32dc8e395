"""Two databases beside a node, which its rule compares: filled, changed, compared beside it."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import tieout
from tests.server.conftest import Place
from tieout.recon import day, epoch, same, side

DAY = "2024-05-01"
NOON = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())
TABLES = {
    "points": "change (id INTEGER, sku TEXT, card_number TEXT, at INTEGER)",
    "prizes": "prize (change_id INTEGER, sku TEXT, card_number TEXT, at INTEGER)",
}

numbers = itertools.count(1)


def run(folder: Path, name: str, *statements: str) -> None:
    """Run statements in one of the two databases."""
    with closing(sqlite3.connect(folder / f"{name}.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def fill(folder: Path, name: str, *rows: tuple[int, str, str]) -> None:
    """Have a table with just these rows: a key, a sku and a card."""
    table = TABLES[name].split()[0]
    inserts = [f"INSERT INTO {table} VALUES {(*row, NOON)!r}" for row in rows]
    run(folder, name, f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {TABLES[name]}", *inserts)


def compare(place: Place, date: str = DAY) -> None:
    """Compare a day by the node's rule, in an App beside it."""
    folder = place.node.folder

    async def work() -> None:
        async with tieout.App(place.url, sweep=False, migrate=False) as app:
            ours = side(f"sqlite:///{folder}/points.db", table="change", key="id", at=epoch("at", "s"))
            theirs = side(f"sqlite:///{folder}/prizes.db", table="prize", key="change_id", at=epoch("at", "s"))
            app.rule("redemption", upstream=ours, downstream=theirs, agree=[same("sku"), same("card_number")])
            await app.recon.run("redemption", day(date, ZoneInfo("UTC")), folder=folder / "recon")

    asyncio.run(work())


def broken(place: Place) -> dict[str, str]:
    """Compare a day of which one key is missing, one is an orphan and three differ; ids of its breaks by key.

    What is found is new each time, so that what was decided before is not decided any more.
    """
    folder, sku = place.node.folder, f"mug-{next(numbers)}"
    fill(folder, "points", (1, sku, "4111"), *((n, sku, "4111") for n in (2, 3, 4, 5)))
    fill(folder, "prizes", (1, sku, "4111"), *((n, "cup", "4222") for n in (3, 4, 5)), (9, sku, "4111"))
    compare(place)
    items = place.operator.get("/v1/breaks", params={"rule": "redemption", "state": "open"}).json()["items"]
    return {one["key"][0]: one["id"] for one in items}
