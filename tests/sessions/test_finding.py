"""What may be given as a transaction, and to which App."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from tests.process.place import rest
from tests.process.shop import POINTS
from tests.sessions.door import REDEEM, PlainRedeem
from tieout import AlreadyStarted, ConfigError, StatementError, UsageError, blocking
from tieout.database.query import compile_statement
from tieout.sessions.values import bound, with_percent


def request(**params):
    return REDEEM(**({"request_id": "r1", "user": "ann"} | params))


@pytest.fixture
async def app(places, shop):
    return await (await places("sqlite")).open(REDEEM, shop=shop)


@pytest.fixture
def connection(urls):
    opened = sqlite3.connect(urls["sqlite"].removeprefix("sqlite:///"))
    opened.execute("BEGIN")
    yield opened
    opened.close()


async def test_what_blocks_is_not_joined_on_an_event_loop(app, connection):
    """Two joined starts of one key would wait for each other, and the loop with them."""
    with pytest.raises(UsageError, match=r"a Connection blocks: join it with tieout\.blocking\.App"):
        await app.start(request(), tx=connection)


async def test_what_needs_a_loop_is_not_joined_without_one(places, urls):
    """An AsyncSession has no place in an App without an event loop."""
    await places("sqlite")
    engine = create_async_engine("sqlite+aiosqlite://")
    with blocking.App(urls["sqlite"], sweep=False) as plain:
        plain.register(PlainRedeem)
        with pytest.raises(UsageError, match="needs an event loop"):
            plain.start(PlainRedeem(request_id="r1", user="ann"), tx=AsyncSession(engine))


@pytest.mark.parametrize("wrong", [object(), 7, "BEGIN", create_engine("sqlite://"), sessionmaker()], ids=type)
async def test_other_things_are_no_transactions(app, wrong):
    """Whatever is no session and no connection is refused by name."""
    with pytest.raises(UsageError, match=rf"tx= takes .* not (a|this) {type(wrong).__name__}"):
        await app.start(request(), tx=wrong)


async def test_a_transaction_on_another_dialect_is_refused(app, urls, places):
    """A process is stored in the App's own database."""
    await places("postgres")
    connection = await asyncpg.connect(urls["postgres"])
    async with connection.transaction():
        with pytest.raises(UsageError, match="this App's database is sqlite"):
            await app.start(request(), tx=connection)
    await connection.close()


async def test_a_library_that_lacks_is_named(app, connection, monkeypatch):
    """What an adapter cannot import is told as a setting to be mended."""
    monkeypatch.setitem(sys.modules, "tieout.sessions.sqlite", None)
    with pytest.raises(ConfigError, match="joining a Connection needs the module"):
        await app.start(request(), tx=connection)


async def test_waiting_before_the_commit_is_refused(app):
    """Nothing begins before the user's commit, so that there is nothing to wait for."""
    with pytest.raises(UsageError, match="nothing begins before your commit"):
        await app.start(request(), tx=object(), wait=1)


def test_a_scoped_session_stands_for_its_session(urls):
    """Flask-SQLAlchemy's `db.session` is one."""
    engine = create_engine(urls["sqlite"])
    sessions = scoped_session(sessionmaker(engine))
    with blocking.App(urls["sqlite"], sweep=False) as plain:
        plain.register(PlainRedeem)
        with pytest.raises(UsageError, match="no transaction is open in this session"):
            plain.start(PlainRedeem(request_id="r1", user="ann"), tx=sessions)
    sessions.remove()
    engine.dispose()


def test_a_class_of_the_users_own_is_known_by_what_it_inherits_from(places, urls):
    """A subclass is adapted like its library's own class."""

    class Mine(sqlite3.Connection):
        pass

    opened = sqlite3.connect(urls["sqlite"].removeprefix("sqlite:///"), factory=Mine)
    with blocking.App(urls["sqlite"], sweep=False) as plain:
        plain.register(PlainRedeem)
        with pytest.raises(UsageError, match="no transaction is open"):
            plain.start(PlainRedeem(request_id="r1", user="ann"), tx=opened)
    opened.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_tieouts_own_transactions_are_joined_too(places, shop, dialect):
    """A start inside `app.database.transact` commits with it, and is begun by a nudge."""
    app = await (await places(dialect)).open(REDEEM, shop=shop)

    async def work(tx):
        await tx.execute("UPDATE account SET points = points - 1 WHERE name = 'ann'")
        return await app.start(request(), tx=tx)

    process = await app.database.transact(work)
    with pytest.raises(AlreadyStarted):
        await app.database.transact(work)
    assert await app.nudge(process.id)
    assert (await app.wait(process.id, 60)).state == "completed"
    row = await app.database.read(lambda tx: tx.fetch_one("SELECT points FROM account"))
    assert row[0] == POINTS - 11


async def test_a_nudge_begins_nothing_that_is_somebody_elses(places, shop):
    """Only who has started a process has its first lease; once it is due, whoever is nudged claims it."""
    place = await places("sqlite")
    app, other = [await place.open(REDEEM, shop=shop) for _ in range(2)]
    process = await app.database.transact(lambda tx: app.start(request(), tx=tx))
    assert not await other.nudge(process.id)
    due = "UPDATE tieout_process SET due = {now} - 1"
    await app.database.transact(lambda tx: tx.execute(due))
    assert await other.nudge(process.id)
    await rest(other)
    assert len(shop.asked) == 1
    assert not await app.nudge(process.id)
    assert not await app.nudge("00" * 16)


async def test_an_app_that_knows_the_type_not_is_not_nudged(places, shop):
    """Code that does not know a process leaves it to code that does."""
    place = await places("sqlite")
    app, other = await place.open(REDEEM, shop=shop), await place.open()
    process = await app.database.transact(lambda tx: app.start(request(), tx=tx))
    assert not await other.nudge(process.id)


@pytest.mark.parametrize(
    ("numbered", "percent", "params"),
    [
        ("SELECT :a, :b, :a", "SELECT %s, %s, %s", ("a", "b", "a")),
        ("SELECT ':a', :a::text, 5 % :b", "SELECT ':a', %s::text, 5 %% %s", ("a", "b")),
        ("SELECT '100%', \"a%b\", E'\\'$1' WHERE x = :a", "SELECT '100%%', \"a%%b\", E'\\'$1' WHERE x = %s", ("a",)),
        ("SELECT $q$ $1 :a $q$, t$1 FROM x$2 WHERE y = :b", "SELECT $q$ $1 :a $q$, t$1 FROM x$2 WHERE y = %s", ("b",)),
    ],
)
def test_placeholders_are_rewritten(numbered, percent, params):
    """A repeated name is sent each time; literals and identifiers are left alone, but for their per cent signs."""
    rewritten = with_percent(compile_statement(numbered, "postgres", "test"))
    assert (rewritten.text, rewritten.params) == (percent, params)


@pytest.mark.parametrize("dialect", ["sqlite", "mysql"])
def test_what_a_driver_would_make_text_of_is_refused(dialect):
    """Lists go as JSON; sets, dicts and NaN are refused, and moments where the database has none."""
    statement = compile_statement("SELECT :a", dialect, "test")
    assert bound(statement, {"a": ["x", 1]}) == ('["x", 1]',)
    wrong = [{"a": 1}, {1}, object(), float("nan"), *([datetime.now(UTC)] if dialect == "sqlite" else [])]
    for value in wrong:
        with pytest.raises(StatementError):
            bound(statement, {"a": value})


def test_the_core_needs_none_of_the_libraries():
    """An App is made, and its sessions module imported, without any of them."""
    script = "import sys, tieout; tieout.App('sqlite://'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "django", "psycopg", "pymysql", "asyncpg"} & set(loaded)
