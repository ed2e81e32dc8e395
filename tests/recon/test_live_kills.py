"""A node that follows dies before a statement, before a commit or after one: the next one comes to what there is."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter

import pytest

import tieout
from tests.kill.points import named
from tests.messages.shelf import end_leases
from tests.recon.test_live import PATIENCE, Shop
from tests.recon.test_live_simulation import judged
from tieout.database import connect
from tieout.errors import CommitUnknown


class Died(BaseException):
    """Nothing of this node goes on."""


class Mortal:
    """A database whose node dies at the n-th point, or whose n-th commit's answer is lost."""

    def __init__(self, inner, deadly: int | None = None, lost: int | None = None) -> None:
        self.inner, self.deadly, self.lost = inner, deadly, lost
        self.passed: list[str] = []
        self.commits = 0
        self.dead = False
        self.counting = False
        self.died = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def at(self, name: str) -> None:
        if self.dead:
            raise Died
        if self.counting:
            self.passed.append(name)
            if len(self.passed) == self.deadly:
                self.dead = True
                self.died.set()
                raise Died

    async def transact(self, work):
        async def watched(tx):
            result = await work(MortalTransaction(tx, self))
            self.at("before COMMIT")
            return result

        result = await self.inner.transact(watched)
        self.at("after COMMIT")
        if self.counting:
            self.commits += 1
            if self.commits == self.lost:
                raise CommitUnknown("the answer was lost")
        return result

    async def read(self, work):
        self.at("before READ")
        return await self.inner.read(work)


class MortalTransaction:
    """A transaction with a point before each statement."""

    def __init__(self, inner, mortal: Mortal) -> None:
        self.inner, self.mortal = inner, mortal

    def __getattr__(self, name):
        inner = getattr(self.inner, name)
        if name not in {"execute", "execute_many", "fetch", "fetch_one"}:
            return inner

        async def passed(sql, *args, **params):
            self.mortal.at(f"before {named(sql)}")
            return await inner(sql, *args, **params)

        return passed


class Stage:
    """Two sides, and one App database that nodes come and go on."""

    def __init__(self, folder) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder}/app.db"
        self.shop: Shop | None = None

    async def node(self, **mortal):
        """An App on a database that it may die on, with the rule."""
        database = Mortal(connect(self.url), **mortal)
        app = tieout.App(self.url, database=database, sweep=False, migrate=True)
        if self.shop is None:
            self.shop = Shop(app, self.folder)
        self.shop.app = app
        self.shop.rule(grace="0.05s")
        return database, app

    def act(self) -> None:
        shop = self.shop
        shop.change(1)
        shop.prize(1)
        shop.change(2)
        shop.change(3, cost=10)
        shop.prize(3, cost=11)
        shop.prize(4)
        shop.prize(4)
        shop.theirs.run("UPDATE prize SET value = 9 WHERE change_id = 1")

    def mend(self) -> None:
        self.shop.prize(2)
        self.shop.theirs.run("UPDATE prize SET value = 10 WHERE change_id = 1")


async def followed(stage: Stage, database: Mortal, app, *, mends: bool) -> None:
    """Follow until all is judged, or the node dies."""
    shop = stage.shop
    watching = app.recon.watching()
    task = asyncio.create_task(watching.watch_forever())
    dies = asyncio.create_task(database.died.wait())

    async def story() -> None:
        await watching.watched.wait()
        if mends:
            database.counting = True
            stage.act()
            await shop.until(shop.breaks, judged(shop))
            stage.mend()
        await shop.until(shop.breaks, judged(shop))
        await shop.until_counted(waiting=0, doubtful=0)

    telling = asyncio.create_task(story())
    await asyncio.wait([task, dies, telling], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    for one in (task, dies, telling):
        one.cancel()
    await asyncio.gather(task, dies, telling, return_exceptions=True)
    if not database.dead:
        telling.result()


async def check(stage: Stage, tmp: str) -> None:
    """Another node comes to what there is: each break once, each alarm as its breaks are, the counts exact."""
    database, app = await stage.node()
    shop = stage.shop
    async with app:
        await followed(stage, database, app, mends=False)
        assert await shop.breaks() == judged(shop), tmp
        stage.mend()
        shop.theirs.run("DELETE FROM prize WHERE change_id = 4")
        shop.theirs.run("UPDATE prize SET value = 10 WHERE change_id = 3")
        shop.theirs.run("DELETE FROM prize WHERE rowid NOT IN (SELECT min(rowid) FROM prize GROUP BY change_id)")
        await followed(stage, database, app, mends=False)
        totals = Counter((await shop.status()).totals)
        assert await shop.breaks() == judged(shop), tmp
        kept = await app.database.read(
            lambda tx: tx.fetch("SELECT outcome, count(*) FROM tieout_recon_fact GROUP BY outcome")
        )
        assert {name: count for name, count in totals.items() if name != "facts"} == {
            name: count for name, count in kept if count
        }, tmp
        states = {one.object: one.state for one in await app.alarms.list(kind="recon-breaks")}
        still = {f"redemption {outcome}" for outcome in judged(shop).values()}
        assert {name for name, state in states.items() if state == "open"} == still, tmp
        assert not await app.alarms.list(kind="feed-gap"), tmp


async def lived(folder, migrated, **mortal) -> Mortal:
    """One node's life, and the check by the next."""
    folder.mkdir()
    stage = Stage(folder)
    shutil.copy(migrated, folder / "app.db")
    database, app = await stage.node(**mortal)
    async with app:
        await followed(stage, database, app, mends=True)
        database.dead = False
        database.counting = False
        await end_leases(database)  # the time passes after which another node goes on
    await check(stage, f"{mortal}: {database.passed[-1:]}")
    return database


LIVES = 6
"""Points at which a node dies in each part, spread over the run."""


@pytest.mark.parametrize("part", range(2))
async def test_death_at_any_point_loses_nothing_and_doubles_nothing(tmp_path, migrated_file, part) -> None:
    """Before statements and commits, and after commits, of keeping and telling: the next node knows it all."""
    whole = await lived(tmp_path / "whole", migrated_file)
    points = len(whole.passed)
    assert points > 40
    written = {"before begin_facts", "before write_facts", "before pass_feed", "before note_breaks"}
    assert {"before COMMIT", "after COMMIT", *written} <= set(whole.passed)
    for deadly in range(1 + 5 * part, points + 1, max(1, points // LIVES)):
        await lived(tmp_path / str(deadly), migrated_file, deadly=deadly)


@pytest.mark.parametrize("lost", [1, 2, 4])
async def test_a_commit_whose_answer_is_lost_counts_once(tmp_path, migrated_file, lost) -> None:
    """Whether it was committed is read from the feed's fence: no fact is applied a second time."""
    database = await lived(tmp_path / "lost", migrated_file, lost=lost)
    assert database.commits >= lost
