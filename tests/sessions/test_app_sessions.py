"""An App whose transaction steps are given the user's sessions."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.process.place import rows
from tests.servers.proxy import Proxy
from tests.sessions.makers import MAKERS, Entry
from tests.sessions.trips import STEPS
from tieout import (
    App,
    CommitUnknown,
    ConfigError,
    Failed,
    Pending,
    Refused,
    UniqueViolation,
    UsageError,
    blocking,
)
from tieout.database import connect
from tieout.database.driving import drive
from tieout.sessions import in_sessions

COMMIT = re.compile(rb"\bCOMMIT\b")
PROXIED = {"asyncpg", "asyncmy", "psycopg", "pymysql", "psycopg-pool", "psycopg-connect", "pymysql-connect"}
LISTENING = {"asyncpg", "psycopg", "psycopg-pool"}
URLS = {"postgres": "postgresql://u@127.0.0.1:1/x", "mysql": "mysql://u@127.0.0.1:1/x", "sqlite": "sqlite:///x"}
ASYNC = [maker for maker in MAKERS if not maker.blocking]

with_every = pytest.mark.parametrize("maker", MAKERS, ids=repr)
with_async = pytest.mark.parametrize("maker", ASYNC, ids=repr)


@with_every
async def test_every_step_is_given_the_session(open_site, maker):
    """Start, join, timer, children, a child's start and an outcome: each gets its session, and what it writes stays."""
    site = await open_site(maker)
    process = await site.start()
    for _ in range(20):
        await site.rest()
        if (await site.do("get", process.id)).is_final:
            break
        await site.sweep()
    ended = await site.do("get", process.id)
    assert (ended.state, ended.result) == ("done", "done")
    assert await site.ledger() == sorted(STEPS)
    assert all(isinstance(given, maker.given) for given in site.guide.given)
    again = await site.start()
    assert (again.id, again.replayed) == (process.id, True)


@with_every
async def test_cancelling_and_failing_steps_are_given_it_too(open_site, maker):
    """The step of a failed call, and the one that a cancelled process runs."""
    site = await open_site(maker)
    site.guide.last = Failed("sold-out")
    await brought_to_last(site, "t1")
    assert (await site.ended((await site.start("t1")).id)).state == "undone"
    site.guide.last = Pending(after=0.01)
    waiting = await brought_to_last(site, "t2")
    await site.do("cancel", waiting, actor="ann", reason="changed her mind")
    await site.do("report", f"{waiting}:5", Failed("cancelled"))
    assert (await site.ended(waiting)).state == "cancelled"
    assert {"undo", "stop"} <= set(await site.ledger())
    assert all(isinstance(given, maker.given) for given in site.guide.given)


async def brought_to_last(site, key):
    """A trip that has come to its last call."""
    process = await site.start(key)
    for _ in range(20):
        await site.rest()
        if (await site.do("get", process.id)).state not in {"both", "pause", "kids"}:
            break
        await site.sweep()
    return process.id


@with_every
async def test_a_refusing_start_leaves_nothing(open_site, maker):
    """What the session had written, flushed or not, is undone with the process."""
    site = await open_site(maker)
    site.guide.raises["start"] = Refused("not today")
    with pytest.raises(Refused):
        await site.start()
    assert (await site.ledger(), await site.count()) == ([], 0)
    await site.start()
    assert "start" in await site.ledger()


@with_every
async def test_a_key_that_exists_is_told_as_such(open_site, maker):
    """An error that the user's library raises, also when it sends what was kept back, is one of tieout's."""
    site = await open_site(maker)
    process = site.trip(key="t1").id
    await rows(site.watch, f"INSERT INTO ledger (process, step) VALUES ('{process}', 'start')")
    with pytest.raises(UniqueViolation) as refused:
        await site.start()
    assert refused.value.__cause__ is not None
    assert await site.count() == 0


@with_every
async def test_a_step_that_raises_is_run_again(open_site, maker):
    """An outcome's step is undone as a whole, backs off, and is run anew by the sweep."""
    site = await open_site(maker)
    site.guide.raises["both"] = RuntimeError("a bug")
    process = await site.start()
    await site.rest()
    assert await site.ledger() == ["start"]
    assert "a bug" in (await site.do("get", process.id)).note
    await site.sweep()
    assert {"start", "both"} <= set(await site.ledger())


@with_every
async def test_of_many_starts_one_is_stored(open_site, maker):
    """Twenty requests with one key: one process, one entry."""
    site = await open_site(maker)
    started = await asyncio.gather(*(site.start() for _ in range(20)))
    assert len({process.id for process in started}) == 1
    assert [process.replayed for process in started].count(False) == 1
    assert (await site.ledger()).count("start") == 1


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("maker", [maker for maker in MAKERS if maker.name in PROXIED], ids=repr)
async def test_a_lost_commit_is_followed_up(open_site, places, maker, fault):
    """Nobody knows whether the COMMIT was done: the engine tries again with the same key, and it is there once."""
    url = (await places(maker.dialect)).url
    port = urlsplit(url).port
    async with Proxy(port).running() as proxy:
        site = await open_site(maker, url.replace(f":{port}/", f":{proxy.port}/"))
        proxy.lose(fault, lambda data: COMMIT.search(data) is not None)
        process = await site.start()
        assert proxy.hits == 1
        assert process.replayed is (fault == "after")
        await site.rest()
        assert (await site.count(), (await site.ledger()).count("start")) == (1, 1)


@with_async
async def test_a_step_may_not_end_its_session(open_site, maker):
    """A commit inside a step would break what belongs together: it is told, and not taken for a success."""
    site = await open_site(maker)

    async def commits(session, process, step):
        await session.commit()

    site.guide.write = commits
    with pytest.raises(UsageError, match="committed or rolled back"):
        await site.start()


@with_async
async def test_statements_of_the_engine_follow_what_the_session_kept_back(open_site, maker):
    """The user's writes reach the database before the process does, and a query in the step sees them."""
    site = await open_site(maker)

    async def looks(session, process, step):
        session.add(Entry(process=process, step=step))
        found = (await session.execute(text("SELECT count(*) FROM ledger"))).scalar()
        assert found == 1

    site.guide.write = looks
    site.guide.raises["both"] = RuntimeError("far enough")
    await site.start()
    assert await site.ledger() == ["start"]


@with_async
async def test_business_transactions_have_the_session_too(open_site, maker):
    """`app.database.transact` runs in a session: `tx.user`; what it raises is tieout's."""
    site = await open_site(maker)

    async def work(tx):
        tx.user.add(Entry(process="p", step="s"))
        return await tx.fetch_one("SELECT count(*) FROM ledger")

    assert tuple(await site.app.database.transact(work)) == (1,)

    async def again(tx):
        tx.user.add(Entry(process="p", step="s"))
        with pytest.raises(IntegrityError):
            await tx.user.flush()
        raise LookupError

    with pytest.raises(LookupError):
        await site.app.database.transact(again)
    with pytest.raises(UniqueViolation):
        await site.app.database.transact(work)
    assert await site.ledger() == ["s"]


@with_async
async def test_a_joined_session_is_what_the_step_is_given(open_site, maker):
    """The user's own session goes to the start step; anything else than a session is refused."""
    site = await open_site(maker)
    session_of = site.app.database.sessions._maker  # noqa: SLF001 - the user has it
    async with session_of() as session, session.begin():
        session.add(Entry(process="user", step="before"))
        await site.app.start(site.trip(key="t1"), tx=session)
        assert site.guide.given == [session]
        with pytest.raises(UsageError, match="given a AsyncSession"):
            await site.app.start(site.trip(key="t2"), tx=await session.connection())
    await site.rest()
    assert {"before", "start"} <= set(await site.ledger())

    async def native(tx):
        await site.app.start(site.trip(key="t3"), tx=tx)

    with pytest.raises(UsageError, match="given a AsyncSession"):
        await site.watch.database.transact(native)
    await site.app.database.transact(native)
    assert await site.count() >= 2


async def test_sessions_must_lead_to_the_same_database(open_site, urls):
    """A URL and sessions that mean two databases are found out when the App is opened."""
    maker = ASYNC[0]
    await open_site(maker)
    other = App(urls["postgres-suite"], migrate=True)
    async with other:
        pass
    with pytest.raises(ConfigError, match="another database"):
        await open_site(maker, urls["postgres-suite"])


@pytest.mark.parametrize("wrong", [object(), dict, MAKERS[3], 7], ids=["object", "class", "maker", "number"])
def test_other_things_are_no_sessions(wrong):
    """What makes no sessions is refused when the App is made."""
    with pytest.raises(ConfigError, match="session= takes"):
        App("sqlite:///x.db", session=wrong)


async def test_colours_are_not_mixed():
    """An App on an event loop takes sessions that do not block it, and the other one takes the others."""
    for maker in MAKERS:
        async with maker.made(URLS[maker.dialect]) as session:
            other = App if maker.blocking else blocking.App
            with pytest.raises(ConfigError, match="are those of"):
                other("sqlite:///x.db", session=session)


@pytest.mark.parametrize("maker", [maker for maker in ASYNC if maker.dialect != "sqlite"], ids=repr)
async def test_a_deadlock_of_two_steps_is_run_again(open_site, maker):
    """The error that SQLAlchemy raises in a step is known for what it is: the engine repeats the transaction."""
    site = await open_site(maker)
    await rows(site.watch, "INSERT INTO account (name, points) VALUES ('bob', 1000)")
    one, two = (site.trip(key=key).id for key in ("t1", "t2"))
    come = {one: asyncio.Event(), two: asyncio.Event()}
    update = text("UPDATE account SET points = points - 1 WHERE name = :name")

    async def crossing(session, process, step):
        if step != "start":
            return
        names = ("ann", "bob") if process == one else ("bob", "ann")
        await session.execute(update, {"name": names[0]})
        come[process].set()
        await asyncio.gather(*(event.wait() for event in come.values()))
        await session.execute(update, {"name": names[1]})

    site.guide.write = crossing
    started = await asyncio.gather(site.start("t1"), site.start("t2"))
    assert [process.replayed for process in started] == [False, False]
    assert len([given for given in site.guide.given if given is not None]) > 2
    taken = await rows(site.watch, "SELECT points FROM account")
    assert taken == [(998,), (998,)]


@pytest.mark.parametrize("maker", [maker for maker in MAKERS if maker.name in LISTENING], ids=repr)
async def test_a_cancelled_wait_for_the_standby_is_no_certain_commit(urls, postgres, places, maker):
    """PostgreSQL answers success with a warning then; it is taken for unknown, as by tieout's own driver."""
    await places("postgres")

    async def work(tx):
        await tx.execute("SET LOCAL synchronous_commit = on")
        await tx.execute("UPDATE account SET points = points - 1")

    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    async with maker.made(urls["postgres"]) as session:
        native = connect(urls["postgres"], blocking=maker.blocking)
        database = in_sessions(native, session, blocking=maker.blocking)
        opening = database.open()
        await (asyncio.to_thread(drive, opening) if maker.blocking else opening)
        for name in ("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"):
            postgres.psql(name)
        try:
            running = database.transact(work)
            doubtful = asyncio.ensure_future(asyncio.to_thread(drive, running) if maker.blocking else running)
            await asyncio.to_thread(postgres.wait_for, f"SELECT count(*) {waiting}", "1")
            postgres.psql(f"SELECT pg_cancel_backend(pid) {waiting}")
            with pytest.raises(CommitUnknown, match="standby"):
                await doubtful
        finally:
            for name in ("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"):
                postgres.psql(name)
        closing = database.close()
        await (asyncio.to_thread(drive, closing) if maker.blocking else closing)
