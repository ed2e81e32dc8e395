"""What is followed by a cursor, where the feed is not what it was: purged, or that of an older database."""

from __future__ import annotations

import time
from datetime import timedelta

from tests.mirror.hotels import RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.test_push import delta, loaded, message
from tests.mirror.waiting import until

HOUR = 3_600_000_000


async def run(app, statement: str) -> None:
    await app.database.transact(lambda tx: tx.execute(statement))


async def test_a_feed_of_which_nothing_is_kept_any_more_has_lost_what_it_had(url):
    """Also where all of it was purged, since nothing has changed for so long: else the gap would be silent."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app:
        await loaded(rooms)
        head = (await rooms.changes("acme")).cursor
        await rooms.pause("acme")
        await run(app, "DELETE FROM tieout_mirror_sighting")
        for cursor, is_lost in ((0, True), (head - 1, True), (head, False)):
            feed = await rooms.changes("acme", cursor)
            assert (feed.lost, feed.cursor, list(feed.changes)) == (is_lost, head, [])


async def test_a_cursor_of_a_newer_database_has_lost_what_comes(url):
    """Behind a backup, or a standby that lacked the last commits, numbers are given again: read all again."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app:
        await loaded(rooms)
        head = (await rooms.changes("acme")).cursor
        feed = await rooms.changes("acme", head + 5)
        assert (feed.lost, feed.cursor) == (True, head)
        assert not (await rooms.changes("acme", head)).lost


async def test_a_view_of_a_newer_database_is_loaded_anew(url):
    """What it has seen is not there any more, and it would pass over as many changes as it is ahead."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY, skew="1ms")
    other, rooms_of_other = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app, other:
        await loaded(rooms)
        view = await rooms_of_other.view()
        await rooms.pause("acme")
        await run(app, "UPDATE tieout_mirror SET head = head - 1")
        await run(app, "DELETE FROM tieout_mirror_sighting WHERE seq > (SELECT max(head) FROM tieout_mirror)")
        part = view.table.parts["acme"]
        await until(lambda: view.table.parts["acme"] is not part)
        await rooms.push("acme", message(delta()), message="m1")
        await until(lambda: price(rooms), 90)
        await until(lambda: view.read("acme", "h0-a", today()).values["price"], 90)


async def test_a_node_that_only_views_knows_the_servers_time(url):
    """Ages and lags are told by it: its own clock runs apart, by seconds a day, and nobody else asks there."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY)
    other, rooms_of_other = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app, other:
        await loaded(rooms)
        view = await rooms_of_other.view()
        moments = rooms_of_other.following("acme").moments
        late = moments.earliest() - HOUR
        moments.learn(late, time.monotonic())
        await until(lambda: moments.earliest() > late + HOUR // 2)
        assert view.read("acme", "h0-a", today() + timedelta(days=1)).age >= 0
