"""The databases that users' own transactions run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import django
import pymysql
import pytest
from django.conf import settings

from tests.process.place import EMPTY, Place, rows
from tests.process.shop import POINTS, Shop
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres
from tests.sessions.door import Door
from tests.sessions.kinds import KINDS, Kind
from tests.sessions.makers import LEDGER
from tests.sessions.site import Site
from tests.sessions.trips import Guide, Kid, PlainKid, PlainTrip, Trip
from tieout import App, Transaction, blocking
from tieout.database import connect

PREPARED: set[str] = set()
"""URLs of databases whose tables are there."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    made = Postgres(**FAST, deadlock_timeout="20ms")
    try:
        made.create()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def mariadb(mariadb_server: MariaDB) -> MariaDB:
    return mariadb_server


@pytest.fixture(scope="session")
def urls(postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A URL for each dialect, and another one for the suite of the contract; Django is set up for all of them."""
    folder = tmp_path_factory.mktemp("sessions")
    urls = {
        "postgres": postgres.url(postgres.database()),
        "postgres-suite": postgres.url(postgres.database()),
        "mysql": mariadb.url(mariadb.database()),
        "mysql-suite": mariadb.url(mariadb.database()),
        "sqlite": f"sqlite:///{folder}/shop.db",
        "sqlite-suite": f"sqlite:///{folder}/suite.db",
    }
    pymysql.install_as_MySQLdb()
    settings.configure(DATABASES={"default": {}} | {name: _for_django(url) for name, url in urls.items()})
    django.setup()
    return urls


def _for_django(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    engine = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite3"}[parts.scheme]
    found: dict[str, object] = {"ENGINE": f"django.db.backends.{engine}", "NAME": parts.path[1:], "OPTIONS": {}}
    if parts.hostname:
        found |= {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username}
    return found


@pytest.fixture
async def places(urls: dict[str, str]) -> AsyncIterator[Callable[[str], object]]:
    """Prepared places, by dialect."""
    opened: list[Place] = []

    async def place(dialect: str) -> Place:
        opened.append(Place(urls[dialect]))
        await prepare(opened[-1])
        return opened[-1]

    yield place
    for one in opened:
        await one.close()


async def prepare(place: Place) -> None:
    """Empty tables and one account, as each test finds them; made with the first."""
    if place.url not in PREPARED:
        PREPARED.add(place.url)
        await place.prepare()
        return
    database = connect(place.url)
    await database.open()

    async def work(tx: Transaction) -> None:
        for statement in EMPTY[tx.dialect]:
            await tx.execute(statement)
        await tx.execute("INSERT INTO account (name, points) VALUES ('ann', :points)", points=POINTS)

    await database.transact(work)
    await database.close()


@pytest.fixture(params=KINDS, ids=repr)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
async def place(kind: Kind, places) -> Place:
    return await places(kind.dialect)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def door(kind: Kind, place: Place, shop: Shop) -> AsyncIterator[Door]:
    door = await Door(kind, place, shop).open()
    yield door
    await door.close()


@pytest.fixture
async def open_site(places):
    """Open Apps with sessions; `url` is where the sessions lead, if not to the App's own database."""
    opened: list[tuple[Any, Any]] = []

    async def open_site(maker, url="", **options):
        place = await places(maker.dialect)
        watch = await place.open()
        await rows(watch, LEDGER)
        await rows(watch, "DELETE FROM ledger")
        guide = Guide(maker.write)
        made = maker.made(url or place.url, **options)
        session = await made.__aenter__()
        kind = blocking.App if maker.blocking else App
        app: Any = kind(place.url, session=session, deps=guide, sweep=False)
        opened.append((app, made))
        for one in (PlainTrip, PlainKid) if maker.blocking else (Trip, Kid):
            app.register(one)
        await (asyncio.to_thread(app.__enter__) if maker.blocking else app.__aenter__())
        return Site(app, watch, guide, plain=maker.blocking)

    yield open_site
    for app, made in opened:
        await (asyncio.to_thread(app.close) if isinstance(app, blocking.App) else app.close())
        await made.__aexit__(None, None, None)
