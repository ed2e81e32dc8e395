"""An App whose steps are given SQLAlchemy's sessions: handlers and routes are given them too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import tieout
from tests.once.place import Place, answers, effects
from tests.once.web import Client, Service, reply
from tieout import Absent, Answered, App, HttpRules, InFlight, Transaction, current_tx
from tieout.once.asgi import IdempotencyMiddleware

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}


class Base(DeclarativeBase):
    """The user's models."""


class Prize(Base):
    """The effect, through the user's own model; the key is SQLAlchemy's wish."""

    __tablename__ = "prize"
    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    sku: Mapped[str] = mapped_column(String(40))
    quantity: Mapped[int]


@pytest.fixture
async def app(place: Place) -> AsyncIterator[App]:
    scheme, _, rest = place.url.partition("://")
    engine = create_async_engine(f"{DRIVERS[scheme]}://{rest}", pool_size=3)
    yield await place.open(session=async_sessionmaker(engine, expire_on_commit=False))
    await place.close()
    place.apps.clear()
    await engine.dispose()


def service(app: App, raises: list[Exception] | None = None, gate: asyncio.Event | None = None) -> Any:
    """A service that issues prizes through the user's model."""

    @app.once("issue")
    async def issue(session: AsyncSession, sku: str) -> str:
        session.add(Prize(owner=sku, sku=sku, quantity=1))
        if raises:
            raise raises.pop()
        if gate is not None:
            await gate.wait()
        return sku

    return issue


async def test_a_handler_is_given_a_session(app: App) -> None:
    """What it adds to the session is committed with its answer, once."""
    issue = service(app)
    assert await issue.run("k1", sku="mug") == Answered("mug", replayed=False)
    assert await issue.run("k1", sku="mug") == Answered("mug", replayed=True)
    assert await issue.find("k1") == Answered("mug", replayed=True)
    assert (await effects(app), await answers(app)) == (1, 1)


async def test_a_key_is_free_after_its_handler_failed(place: Place, app: App) -> None:
    """A connection that goes back to the user's pool takes no claim with it: any process finds the key free."""
    issue = service(app, [ZeroDivisionError() for _ in range(4)])
    elsewhere = await place.open()

    @elsewhere.once("issue")
    async def other(tx: Transaction, sku: str) -> str:
        return sku

    for _ in range(2):
        failed = await asyncio.gather(*(issue.run(key, sku="mug") for key in ("k1", "k2")), return_exceptions=True)
        assert [type(error) for error in failed] == [ZeroDivisionError] * 2
        assert await other.find("k1") == await other.find("k2") == Absent()
    assert await effects(app) == 0
    assert await issue.run("k1", sku="mug") == Answered("mug", replayed=False)
    assert await other.run("k2", sku="mug") == Answered("mug", replayed=False)


async def test_an_error_of_the_models_is_the_callers(app: App) -> None:
    """What SQLAlchemy raises for the user's own row comes out as one of tieout's, and nothing is kept."""
    issue = service(app)
    await issue.run("k1", sku="mug")
    await app.database.transact(lambda tx: tx.execute("CREATE UNIQUE INDEX one_sku ON prize (sku)"))
    try:
        with pytest.raises((tieout.UniqueViolation, IntegrityError)):
            await issue.run("k2", sku="mug")
        assert await answers(app) == 1
    finally:
        await app.database.transact(lambda tx: tx.execute(DROP[tx.dialect]))


DROP = dict.fromkeys(("sqlite", "postgres"), "DROP INDEX one_sku") | {"mysql": "DROP INDEX one_sku ON prize"}


async def test_a_session_at_work_is_in_flight_elsewhere(served_place: Place) -> None:
    """While a session is at work on a key another process is told so."""
    scheme, _, rest = served_place.url.partition("://")
    engine = create_async_engine(f"{DRIVERS[scheme]}://{rest}")
    gate = asyncio.Event()
    issue = service(await served_place.open(session=async_sessionmaker(engine)), gate=gate)
    elsewhere = await served_place.open()

    @elsewhere.once("issue")
    async def other(tx: Transaction, sku: str) -> str:
        return sku

    running = asyncio.create_task(issue.run("k1", sku="mug"))
    async with asyncio.timeout(60):
        while await other.find("k1") == Absent():  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.005)
    assert await other.find("k1") == InFlight()
    gate.set()
    assert (await running).value == "mug"
    assert await other.find("k1") == Answered("mug", replayed=True)
    await engine.dispose()


async def test_a_route_is_given_a_session(app: App) -> None:
    """`current_tx(AsyncSession)` is the session of the request; another class is refused."""

    async def route(served: Service, scope: Any, receive: Any, send: Any) -> None:
        session = current_tx(AsyncSession)
        assert session is current_tx() is scope["tieout.tx"]
        with pytest.raises(tieout.NotAllowed, match="AsyncSession, and not int"):
            current_tx(int)
        await session.execute(text("INSERT INTO prize (owner, sku, quantity) VALUES ('o', 'mug', 1)"))
        session.add(Prize(owner="p", sku="pen", quantity=1))
        await reply(send, served.runs)

    client = Client(IdempotencyMiddleware(Service(route), once=app.http_once(owner=None, rules=HttpRules())))
    first, again = await client.send("k1"), await client.send("k1")
    assert (first.json, again.json, again.replayed, await effects(app)) == (1, 1, True, 2)


def test_the_first_param_is_the_session(tmp_path: Path) -> None:
    """In an App with sessions a handler takes one first; a handler of a plain transaction is refused."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    app = App(f"sqlite:///{tmp_path}/x.db", session=async_sessionmaker(engine))

    async def plain(tx: Transaction) -> int: ...

    with pytest.raises(tieout.DefinitionError, match="tx: AsyncSession"):
        app.once("issue")(plain)
