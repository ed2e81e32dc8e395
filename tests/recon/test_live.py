"""Both sides followed: what does not agree is told once it stays, what mends is withdrawn, nothing is green unseen."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from tests.recon.fed import Source
from tieout.errors import DatabaseUnavailable
from tieout.feeds import Position
from tieout.recon import reached, same, side, sums
from tieout.recon.fact_store import FactStore

PATIENCE = 60.0
CHANGE = "CREATE TABLE change (id INTEGER, state TEXT, sku TEXT, cost INTEGER, done DATETIME)"
PRIZE = "CREATE TABLE prize (change_id INTEGER, state TEXT, sku TEXT, value INTEGER, issued DATETIME)"
NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


class Shop:
    """Two sources, and a rule between them."""

    def __init__(self, app, folder) -> None:
        self.app = app
        self.ours, self.theirs = Source(folder, "points", CHANGE), Source(folder, "prizes", PRIZE)

    def rule(self, **options) -> None:
        self.app.rule(
            "redemption",
            upstream=side(
                self.ours.url,
                table="change",
                key="id",
                when=reached("state", {"done"}),
                at="done",
                many=options.pop("many", False),
            ),
            downstream=side(
                self.theirs.url, table="prize", key="change_id", when=reached("state", {"issued"}), at="issued"
            ),
            agree=options.pop("agree", [same("sku"), same("cost", "value")]),
            **{"grace": "0.3s", **options},
        )
        for source in (self.ours, self.theirs):
            self.app.recon.feed(source.url, slot=source.name, feed=source.feed)

    def change(self, key, cost=10, sku="a", state="done", **options) -> None:
        self.ours.run(f"INSERT INTO change VALUES ({key}, '{state}', '{sku}', {cost}, {NOW})", **options)

    def prize(self, key, cost=10, sku="a", state="issued", **options) -> None:
        self.theirs.run(f"INSERT INTO prize VALUES ({key}, '{state}', '{sku}', {cost}, {NOW})", **options)

    @asynccontextmanager
    async def watched(self):
        """Followed by a node of its own, until the block ends."""
        watching = self.app.recon.watching()
        task = asyncio.create_task(watching.watch_forever())
        ready = asyncio.create_task(watching.watched.wait())
        await asyncio.wait([task, ready], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            task.result()
        try:
            yield watching
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def breaks(self, state="open") -> dict[str, str]:
        found = await self.app.recon.decide.list(state=state, limit=1_000)
        return {"/".join(map(str, one.key)): one.outcome for one in found}

    async def kept(self) -> int:
        """How many keys are known."""
        sql = "SELECT count(*) FROM tieout_recon_fact"
        return (await self.app.database.read(lambda tx: tx.fetch_one(sql)))[0]

    async def status(self):
        (status,) = (await self.app.recon.status())[1]
        return status

    async def until(self, asked, wanted) -> None:
        """Ask again until this is the answer."""
        ends = asyncio.get_running_loop().time() + PATIENCE
        while (found := await asked()) != wanted:
            assert asyncio.get_running_loop().time() < ends, f"{found} is not {wanted}"
            await asyncio.sleep(0.05)

    async def until_counted(self, **wanted) -> None:
        async def counted():
            totals = (await self.status()).totals
            return {name: totals.get(name.replace("_", "-"), 0) for name in wanted}

        await self.until(counted, wanted)


@pytest.fixture
async def shop(app, tmp_path):
    async with app() as opened:
        yield Shop(opened, tmp_path)


async def test_each_kind_of_break_is_told_and_nothing_else(shop) -> None:
    """Missing, orphan, differs and duplicate are told with both records; pairs and what has not happened are not."""
    shop.rule()
    async with shop.watched():
        for key in range(1, 6):
            shop.change(key)
            shop.prize(key)
        shop.change(10)
        shop.prize(11)
        shop.change(12, cost=10)
        shop.prize(12, cost=11)
        shop.change(13)
        shop.prize(13)
        shop.prize(13)
        shop.change(14, state="open")
        await shop.until(shop.breaks, {"10": "missing", "11": "orphan", "12": "differs", "13": "duplicate"})
        await shop.until_counted(tied=5, waiting=0)
        alarms = await shop.app.alarms.list(kind="recon-breaks")
        broken = next(one for one in await shop.app.recon.decide.list() if one.outcome == "differs")
        status = await shop.status()
    assert {one.object for one in alarms} == {
        f"redemption {kind}" for kind in ("missing", "orphan", "differs", "duplicate")
    }
    assert broken.detail["differences"] == [
        {"field": "cost/value", "upstream": "10", "downstream": "11", "why": "differs"}
    ]
    assert [broken.detail[name]["count"] for name in ("upstream", "downstream")] == [1, 1]
    assert broken.detail["provenance"].keys() == {"upstream", "downstream"}
    assert (status.health, status.open) == ("broken", 4)


async def test_a_break_that_mends_is_withdrawn_with_its_alarm(shop) -> None:
    """A late arrival closes the break and resolves the alarm; the key is late-tied, and all is green."""
    shop.rule()
    async with shop.watched():
        shop.change(1)
        await shop.until(shop.breaks, {"1": "missing"})
        shop.prize(1)
        await shop.until(shop.breaks, {})
        await shop.until_counted(late_tied=1)
        (alarm,) = await shop.app.alarms.list(kind="recon-breaks")
        assert (alarm.state, alarm.resolution) == ("resolved", "cleared")
        assert (await shop.status()).health == "agreed"


async def test_what_changes_after_a_tie_is_told(shop) -> None:
    """An amount changed and a row deleted behind a pair that agreed are found; changed back, the break is withdrawn."""
    shop.rule()
    async with shop.watched():
        for key in (1, 2, 3):
            shop.change(key)
            shop.prize(key)
        await shop.until_counted(tied=3)
        shop.theirs.run("UPDATE prize SET value = 9 WHERE change_id = 1")
        shop.theirs.run("DELETE FROM prize WHERE change_id = 2")
        shop.ours.run("UPDATE change SET id = 4 WHERE id = 3")
        await shop.until(shop.breaks, {"1": "differs", "2": "missing", "3": "orphan", "4": "missing"})
        shop.theirs.run("UPDATE prize SET value = 10 WHERE change_id = 1")
        shop.ours.run("UPDATE change SET state = 'refused' WHERE id IN (2, 4)")
        shop.theirs.run("DELETE FROM prize WHERE change_id = 3")
        await shop.until(shop.breaks, {})


async def test_a_side_that_lags_leaves_checks_waiting(shop) -> None:
    """While the other side's feed stands still nothing is told, however long ago: its clock is the watermark."""
    shop.rule()
    async with shop.watched():
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
        shop.theirs.deaf = True
        shop.change(2)
        await shop.until_counted(waiting=1)
        await asyncio.sleep(1.0)
        assert await shop.breaks() == {}
        shop.theirs.deaf = False
        await shop.until(shop.breaks, {"2": "missing"})


async def test_what_was_there_before_is_known(shop) -> None:
    """Pairs and breaks from before a rule was followed are judged, and so is what changes while they are loaded."""
    shop.rule()
    shop.change(1)
    shop.prize(1)
    shop.change(2)
    shop.prize(3)
    shop.prize(3)
    shop.change(3)
    async with shop.watched():
        await shop.until(shop.breaks, {"2": "missing", "3": "duplicate"})
        shop.theirs.run("UPDATE prize SET value = 9 WHERE change_id = 1")
        await shop.until(shop.breaks, {"1": "differs", "2": "missing", "3": "duplicate"})


async def test_one_that_goes_on_knows_what_the_last_one_knew(shop) -> None:
    """Followed again after a pause, also where the feeds tell the last transactions twice, no fact counts twice."""
    shop.rule()
    for source in (shop.ours, shop.theirs):
        source.doubles = True
    for round_ in range(4):
        async with shop.watched():
            for key in range(10 * round_, 10 * round_ + 5):
                shop.change(key)
                shop.prize(key)
            await shop.until_counted(tied=5 * round_ + 5)
        shop.change(10 * round_ + 5)
        shop.prize(10 * round_ + 5)
        shop.theirs.run(f"DELETE FROM prize WHERE change_id = {10 * round_ + 5}", told=True)
        shop.prize(10 * round_ + 5)
        async with shop.watched():
            await shop.until_counted(waiting=0)
        shop.ours.run(f"DELETE FROM change WHERE id = {10 * round_ + 5}")
        shop.theirs.run(f"DELETE FROM prize WHERE change_id = {10 * round_ + 5}")
    async with shop.watched():
        await shop.until_counted(tied=20, waiting=0)
        assert await shop.breaks() == {}
        assert not await shop.app.alarms.list(kind="feed-gap")


async def test_sources_are_told_what_was_kept_before_they_are_left(shop, monkeypatch) -> None:
    """Who ends confirms all that it has kept, to the sources that are there, so that nobody reads it once more."""
    monkeypatch.setattr("tieout.recon.live.CONFIRM_EVERY", 1e9)
    shop.rule()

    async def kept() -> dict[str, int]:
        feeds = await shop.app.database.read(FactStore("sqlite").feeds)
        return {name: Position.parse(feed.checkpoint).place for name, feed in feeds.items()}

    async with shop.watched():
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
        assert (shop.ours.confirmed, shop.theirs.confirmed) == (0, 0)
    assert {"points": shop.ours.confirmed, "prizes": shop.theirs.confirmed} == await kept()
    async with shop.watched():
        shop.prize(2)
        await shop.until_counted(waiting=1)
        shop.ours.broken = True
    assert shop.theirs.confirmed == (await kept())["prizes"] > shop.ours.confirmed


async def test_who_ends_just_when_a_source_goes_away_ends(shop, monkeypatch) -> None:
    """A group of tasks of which one fails tells of that alone: being told to stop in the same moment counts as well."""
    shop.rule()

    async def fail(*_) -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        raise DatabaseUnavailable("points is away")

    watching = shop.app.recon.watching()
    monkeypatch.setattr(watching, "_watch", fail)
    following = asyncio.create_task(watching.watch_forever())
    await asyncio.wait([following], timeout=5)
    assert following.cancelled()


async def test_what_a_feed_did_not_tell_is_told_as_a_gap(shop) -> None:
    """A row that is there and was never fed ties its key, and an alarm says which feed has kept silent about it."""
    shop.rule()
    async with shop.watched():
        shop.change(1)
        shop.prize(1, told=False)
        await shop.until_counted(tied=1, waiting=0)
        (alarm,) = await shop.app.alarms.list(kind="feed-gap")
        assert alarm.object == "prizes"
        assert await shop.breaks() == {}


async def test_a_gap_of_a_feed_is_told_and_filled(shop) -> None:
    """A log that was cut off is an alarm; then both sides are loaded anew, and what was missed is found."""
    shop.rule()
    async with shop.watched():
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
    shop.theirs.run("DELETE FROM prize WHERE change_id = 1")
    shop.change(2)
    shop.prize(2)
    shop.theirs.begins = len(shop.theirs.log)
    async with shop.watched():
        await shop.until(shop.breaks, {"1": "missing"})
        await shop.until_counted(tied=1, waiting=0)
        (alarm,) = await shop.app.alarms.list(kind="feed-gap")
        assert (alarm.object, alarm.state) == ("prizes", "resolved")


async def test_a_changed_rule_judges_open_breaks_anew(shop) -> None:
    """With a new version what was open is judged by it, and all that was there before is loaded again."""
    shop.rule()
    async with shop.watched():
        shop.change(1, cost=10)
        shop.prize(1, cost=11)
        shop.change(2, sku="a")
        shop.prize(2, sku="b")
        await shop.until(shop.breaks, {"1": "differs", "2": "differs"})
    del shop.app.recon.rules["redemption"]
    shop.rule(agree=[same("sku")])
    async with shop.watched():
        await shop.until(shop.breaks, {"2": "differs"})
        await shop.until_counted(tied=1, differs=1, waiting=0)


async def test_parts_are_added_up_until_the_last(shop) -> None:
    """The parts of a key tie once their sum does; a part too many is told."""
    shop.rule(many=True, agree=[sums("cost", "value")])
    async with shop.watched():
        shop.prize(1, cost=10)
        shop.change(1, cost=4)
        shop.change(1, cost=6)
        await shop.until_counted(tied=1)
        shop.change(1, cost=1)
        await shop.until(shop.breaks, {"1": "differs"})


async def test_a_person_decides_until_something_else_is_found(shop) -> None:
    """What is ignored stays so while the same is found, and opens again with news; judged again, it may be closed."""
    shop.rule()
    async with shop.watched():
        shop.change(1, cost=10)
        shop.prize(1, cost=11)
        await shop.until(shop.breaks, {"1": "differs"})
        (found,) = await shop.app.recon.decide.list()
        ignored = await shop.app.recon.decide.ignore(found.id, actor="ann", reason="known")
        assert (ignored.state, ignored.actor, ignored.note) == ("ignored", "ann", "known")
        again = await shop.app.recon.decide.judge_again(found.id, actor="ann", reason="to see")
        assert again.state == "ignored"
        shop.theirs.run("UPDATE prize SET value = 12 WHERE change_id = 1")
        await shop.until(shop.breaks, {"1": "differs"})
        shop.theirs.run("UPDATE prize SET value = 10 WHERE change_id = 1")
        await shop.until(shop.breaks, {})
        assert (await shop.app.recon.decide.show(found.id)).state == "closed"


async def test_nothing_compared_is_not_agreement(shop) -> None:
    """A rule by which nothing was compared is empty, and agrees only with its first pair."""
    shop.rule()
    async with shop.watched():
        assert (await shop.status()).health == "empty"
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
        assert (await shop.status()).health == "agreed"


async def test_what_was_forgotten_is_no_gap_when_it_changes(shop) -> None:
    """A pair that agreed for longer than the memory is asked for again: what its feed had told then was not missed."""
    shop.rule(memory="1s")
    async with shop.watched():
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
        await shop.until(shop.kept, 0)
        shop.prize(1)
        await shop.until(shop.breaks, {"1": "duplicate"})
        assert not await shop.app.alarms.list(kind="feed-gap")


async def test_a_feed_that_says_nothing_is_told(shop, monkeypatch) -> None:
    """Without a word, not even a heartbeat, a feed is alarmed as silent; with the next one that is resolved."""
    monkeypatch.setattr("tests.recon.test_live.PATIENCE", 20.0)
    monkeypatch.setattr("tieout.recon.watching.SILENT", 1.0)
    monkeypatch.setattr("tieout.recon.watching.TEND_EVERY", 0.1)
    shop.rule()

    async def silent():
        return {one.object: one.state for one in await shop.app.alarms.list(kind="feed-silent")}

    async with shop.watched():
        shop.change(1)
        shop.prize(1)
        await shop.until_counted(tied=1)
        shop.theirs.held = 1 << 30
        await shop.until(silent, {"prizes": "open"})
        shop.theirs.held = 0
        await shop.until(silent, {"prizes": "resolved"})
