"""Crashes, lost answers and dead connections: the effect happens once, and the answer is found."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import tieout
from tests.once.place import Counter, Place, Prize, answers, effects, give, rows, until
from tests.once.stepping import blind_store
from tests.servers.proxy import Proxy
from tieout import Absent, Answered, App, InFlight, Transaction
from tieout.contracts import Database
from tieout.database import connect
from tieout.database.sqlite import SqliteDatabase
from tieout.once.engine import Engine, Given, UndoneError
from tieout.once.rules import Kept, identify


class CrashError(Exception):
    """The process is no more."""


def service(app: App) -> Any:
    """A service that issues prizes, by a code that never changes."""

    @app.once("issue-prize")
    async def issue(tx: Transaction, sku: str, quantity: int = 1) -> Prize:
        await give(tx, "", sku, quantity)
        return Prize(sku)

    return issue


async def crashed_at(url: str, point: int) -> list[str]:
    """Run a request that crashes at a point of its transaction; the points up to it."""
    passed: list[str] = []

    def hook(what: str) -> None:
        if len(passed) < point:
            passed.append(what)
        if len(passed) == point:
            raise CrashError(what)

    database = connect(url, inline=True)
    app = App(url, database=database, sweep=False)
    issue = service(app)
    async with app:
        database._committer._hook = database._hook = hook  # noqa: SLF001 - not before the tables are there
        try:
            await issue.run("k1", sku="mug")
        except CrashError:
            return passed
    return passed


async def test_a_crash_at_any_point_leaves_one_effect(tmp_path: Path) -> None:
    """Whether it crashes before, between or after its statements and its commit: repeated, it has one effect."""
    reached: list[str] = []
    passed: list[str] = []
    while len(passed) == len(reached):
        place = Place(f"sqlite:///{tmp_path}/{len(reached)}.db")
        await place.prepare()
        passed = await crashed_at(place.url, len(reached) + 1)
        again = await service(place.apps[0]).run("k1", sku="mug")
        assert again == Answered(Prize("mug"), replayed="committed" in passed)
        assert (await effects(place.apps[0]), await answers(place.apps[0])) == (1, 1)
        await place.close()
        reached.append(passed[-1].removeprefix("statement:").partition(" ")[0])
    assert reached[:-1] == ["claim_key", "INSERT", "add_answer", "commit", "committed"]


async def test_a_killed_process_leaves_the_key_free(place: Place) -> None:
    """After kill -9 between effect and commit nothing is left: the key is absent, and the next request does it."""
    app = place.apps[0]
    command = [sys.executable, "-m", "tests.once.hanging", place.url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert process.stdout and await process.stdout.readline() == b"at work\n"
        issue = service(app)
        if place.is_served:
            assert await issue.find("k1") == InFlight()
    finally:
        process.kill()
        await process.communicate()
    while (found := await issue.find("k1")) == InFlight():  # noqa: ASYNC110 - only the server knows of the end
        await asyncio.sleep(0.01)
    assert found == Absent()
    assert await issue.run("k1", sku="mug", wait="10s") == Answered(Prize("mug"), replayed=False)
    assert await effects(app) == 1


async def test_a_connection_that_dies_is_another_try(postgres_place: Place, counter: Counter) -> None:
    """When its connection is cut between effect and commit, the request is tried again by itself, with one effect."""
    app, operator = await postgres_place.open(), await postgres_place.open()
    issue = counter.prizes(app)
    counter.gate = asyncio.Event()
    running = asyncio.create_task(issue.run("k1", sku="mug"))
    await counter.entered.wait()
    await rows(
        operator,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()",
    )
    counter.gate.set()
    assert not (await running).replayed
    assert (counter.runs, await effects(app)) == (2, 1)


@pytest.mark.parametrize("fault", ["before", "after", "hang"])
async def test_a_lost_answer_to_commit_is_followed_up(served_place: Place, counter: Counter, fault: Any) -> None:
    """COMMIT never arrived, or its answer was lost: the same request finds out by itself, with one effect."""
    url = urlsplit(served_place.url)
    async with Proxy(url.port).running() as proxy:
        options = "pool=2&deadline=2&connect_timeout=3"
        place = Place(f"{url.scheme}://u@127.0.0.1:{proxy.port}{url.path}?{options}")
        app = await place.open()
        issue = counter.prizes(app)
        await issue.run("k0", sku="mug")
        commit = b"COMMIT; " if url.scheme == "mysql" else b"COMMIT\0"
        proxy.lose(fault, lambda data: commit in data)
        answered = await issue.run("k1", sku="mug")
        assert (proxy.hits, answered.replayed) == (1, fault != "before")
        proxy.cut()
        assert await issue.run("k1", sku="mug") == Answered(answered.value, replayed=True)
        assert await effects(app) == 2
        await place.close()


class Losing:
    """A database whose answers to COMMIT are lost, now after it was done and now before."""

    def __init__(self, database: Database, losses: list[str]) -> None:
        self._database = database
        self._losses = losses
        self.held: list[asyncio.Task[Any]] = []
        self.go = asyncio.Event()
        self.lost = 0
        self.read = database.read

    async def transact(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        loss = self._losses.pop(0) if self._losses else ""
        if loss == "slow":
            await self._begin(work)
        if loss == "after":
            await self._database.transact(work)
        if loss:
            self.lost += 1
            raise tieout.CommitUnknown(loss)
        return await self._database.transact(work)

    async def _begin(self, work: Callable[[Transaction], Awaitable[Any]]) -> None:
        """Leave a transaction open that the server commits later, though nobody listens any more."""
        done = asyncio.Event()

        async def late(tx: Transaction) -> Any:
            await work(tx)
            done.set()
            await self.go.wait()

        self.held.append(asyncio.create_task(self._database.transact(late)))
        await done.wait()


def losing(app: App, *losses: str) -> Losing:
    """Let the App's answers to COMMIT be lost."""
    database = Losing(app.database, list(losses))
    app.answers = Engine(database, app.answers.store, app.answers.clock, app.answers.chance)
    return database


@pytest.mark.parametrize("losses", [("before",), ("after",), ("before", "before", "after"), ("after", "after")])
async def test_commits_are_lost_again_and_again(place: Place, counter: Counter, losses: tuple[str, ...]) -> None:
    """However often the answer to COMMIT is lost, one effect is left, and its answer is given."""
    app = await place.open()
    losing(app, *losses)
    issue = counter.prizes(app)
    answered = await issue.run("k1", sku="mug")
    assert await issue.run("k1", sku="mug") == Answered(answered.value, replayed=True)
    assert await effects(app) == 1


async def test_our_own_lost_transaction_is_waited_for(served_place: Place, counter: Counter) -> None:
    """When the server is still at a commit that we have given up, its end is waited for: it is no stranger's."""
    app = await served_place.open()
    database = losing(app, "slow")
    issue = counter.prizes(app)
    running = asyncio.create_task(issue.run("k1", sku="mug"))
    await until(lambda: database.lost)
    await asyncio.sleep(0.1)
    assert not running.done()
    database.go.set()
    assert (await running).replayed
    assert await effects(app) == 1


async def test_giving_up_says_that_it_is_unknown(
    served_place: Place, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last try the caller is told that it may have been done, and may repeat the request later."""
    monkeypatch.setattr("tieout.database.retrying.LONGEST_PAUSE", 0.01)
    app = await served_place.open()
    database = losing(app, "slow")
    issue = counter.prizes(app)
    with pytest.raises(tieout.CommitUnknown):
        await issue.run("k1", sku="mug")
    assert await issue.find("k1") == InFlight()
    database.go.set()
    await asyncio.gather(*database.held)
    assert (await issue.run("k1", sku="mug")).replayed
    assert await effects(app) == 1


async def test_a_refusal_is_certain(served_place: Place, counter: Counter) -> None:
    """What the handler raises after a lost COMMIT is believed only once that commit cannot land any more.

    That holds as well where the claims say nothing, so that the server's lock does not tell of it. Where the row comes
    first, the handler is not even called again before.
    """
    app = await served_place.open()
    database = losing(app, "slow")
    app.answers.store = blind_store(app.database.dialect)
    issue = counter.prizes(app)
    running = asyncio.create_task(issue.run("k1", sku="mug"))
    await until(lambda: database.lost)
    counter.raises = [tieout.Refused("sold out, to the first attempt")]
    if app.database.dialect != "mysql":
        await until(lambda: counter.runs == 2)
    await asyncio.sleep(0.05)
    assert not running.done()
    database.go.set()
    assert (await running).replayed
    assert await effects(app) == 1


async def test_a_lost_refusal_is_kept_too(place: Place) -> None:
    """Work that undoes its writes and leaves an answer is repeated like any other when its commit is lost."""
    app = await place.open()
    losing(app, "", "before", "after")

    async def refuse(tx: Transaction) -> Kept:
        await give(tx, "", "mug", 1)
        raise UndoneError(Kept('"sold out"'))

    request = identify("issue", "", "k1", b"print")
    for replayed in (True, True):
        kept = await app.answers.run(request, refuse, keep=10**9)
        assert (kept.kept, kept.replayed) == (Kept('"sold out"'), replayed)
    assert (await effects(app), await answers(app)) == (0, 1)


async def test_work_that_commits_by_itself_is_taken_up(mariadb_place: Place) -> None:
    """Work that alters tables commits all before it on MariaDB: killed then, its key is free, and gets an answer."""
    app, other = await mariadb_place.open(), await mariadb_place.open()
    request = identify("issue", "", "k1", b"print")

    async def altering(tx: Transaction) -> Kept:
        await tx.execute("CREATE TABLE side (n INT)")
        raise CrashError

    async def work(tx: Transaction) -> Kept:
        await give(tx, "", "mug", 1)
        return Kept("1")

    with pytest.raises(CrashError):
        await app.answers.run(request, altering, keep=10**9)
    await rows(app, "DROP TABLE side")
    assert await answers(app) == 1  # the row is there, without an answer
    assert await other.answers.find(request) == Absent()
    assert await other.answers.run(request, work, keep=10**9) == Given(Kept("1"), replayed=False)
    assert await app.answers.run(request, work, keep=10**9) == Given(Kept("1"), replayed=True)
    assert await effects(app) == 1


async def test_sqlite_is_what_is_tested(sqlite_place: Place) -> None:
    """The App on a SQLite file uses the writer with group commit, not the one for tests."""
    assert isinstance(sqlite_place.apps[0].database, SqliteDatabase)
