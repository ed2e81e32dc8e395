"""A table that is asked again and again: what is there is told, late commits too, and no more is claimed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tests.feeds.sources import PATIENCE, changes, ids, told
from tieout.database import connect
from tieout.errors import ConfigError, FeedGap
from tieout.feeds import Change, Committed, Heartbeat, PollingFeed, Position

TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, v varchar(20), money decimal(10,2), changed bigint)"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
async def database(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/polled.db"
    else:
        server = request.getfixturevalue(request.param)
        url = server.url(server.database())
    database = connect(url)
    await database.open()
    await run(database, TABLE)
    yield database
    await database.close()


async def run(database, *statements: str) -> None:
    async def work(tx) -> None:
        for statement in statements:
            await tx.execute(statement)

    await database.transact(work)


def polling(database, **options) -> PollingFeed:
    named = {"table": "t", "key": ["id"], "column": "changed", "columns": ["v", "money"], "every": 0.05}
    return PollingFeed(database, **(named | options))


async def test_rows_are_told_as_they_are(database) -> None:
    """New and changed rows come in the order of their numbers, exactly, and a heartbeat behind them."""
    feed = polling(database)
    await feed.open()
    await run(database, "INSERT INTO t VALUES (1, NULL, 1.50, 1)", "INSERT INTO t VALUES (2, 'ü', -0.01, 2)")
    found = await told(feed)
    await run(database, "UPDATE t SET v = 'x', changed = 3 WHERE id = 1", "DELETE FROM t WHERE id = 2")
    found += await told(feed)
    assert [(change.before, change.after["id"], change.after["v"]) for change in changes(found)] == [
        (None, "1", None),
        (None, "2", "ü"),
        (None, "1", "x"),
    ]
    if database.dialect != "sqlite":  # which keeps no decimals
        assert changes(found)[0] == Change("t", None, {"id": "1", "v": None, "money": "1.50"})
    watermarks = [one.watermark for one in found if isinstance(one, Heartbeat)]
    assert watermarks == sorted(watermarks) and watermarks[0] > 0
    places = [one.position.place for one in found if isinstance(one, Committed)]
    assert places == [1, 2, 3]


async def test_a_number_that_is_committed_late_is_told(database) -> None:
    """A transaction draws its number before another one, and commits behind it."""
    feed = polling(database, longest=PATIENCE)
    await feed.open()
    await run(database, "INSERT INTO t VALUES (2, 'b', 0, 2)")
    found = await told(feed)
    await run(database, "INSERT INTO t VALUES (1, 'a', 0, 1)")
    found += await told(feed)
    assert ids(found) == ["2", "1"]


async def test_nothing_is_lost_by_a_restart(database) -> None:
    """What was told lately is told again, at positions that the one kept does not cover; what is new is told."""
    feed = polling(database)
    await feed.open()
    await run(database, "INSERT INTO t VALUES (2, 'b', 0, 2)")
    kept = (await told(feed))[-1].position
    await feed.close()
    await run(database, "INSERT INTO t VALUES (1, 'a', 0, 1)", "INSERT INTO t VALUES (3, 'c', 0, 3)")
    feed = polling(database)
    await feed.open(Position.parse(kept.text()))
    found = await told(feed)
    assert ids(found) == ["1", "2", "3"]
    assert not any(kept.covers(one.position) for one in found)


async def test_what_has_settled_is_not_asked_for_again(database) -> None:
    """Once `longest` has passed, a number lies behind the feed, and its position says so."""
    feed = polling(database, longest=0.05, every=0.01)
    await feed.open()
    await run(database, "INSERT INTO t VALUES (5, 'b', 0, 5)")
    async with asyncio.timeout(PATIENCE):
        while int((await told(feed))[-1].position.resume) < 5:
            pass
    await run(database, "INSERT INTO t VALUES (1, 'a', 0, 1)", "INSERT INTO t VALUES (6, 'a', 0, 6)")
    assert ids(await told(feed)) == ["6"]


async def test_it_begins_with_what_comes(database) -> None:
    """Rows that are there are not told, and many are told in parts."""
    await run(database, "INSERT INTO t VALUES (1, 'a', 0, 1)")
    feed = polling(database)
    await feed.open()
    await run(database, *[f"INSERT INTO t VALUES ({n}, 'a', 0, {n})" for n in range(2, 2_502)])
    here = await feed.here()
    found = list(await feed.take(1_000))
    assert len(changes(found)) == 1_000
    while len(changes(found)) < 2_500:
        found += await feed.take(1_000)
    assert ids(found) == [str(n) for n in range(2, 2_502)]
    assert found[-1].position.covers(here)


async def test_a_table_that_cannot_be_followed_is_refused(database) -> None:
    """A column with rows that have no number, or with texts; another feed's position; numbers that went back."""
    feed = polling(database)
    with pytest.raises(ConfigError, match="open the feed"):
        await feed.take()
    await run(database, "INSERT INTO t VALUES (1, 'a', 0, 7)")
    with pytest.raises(ConfigError, match="whole number in every row"):
        await polling(database, column="v").open()
    begin = await feed.open()
    with pytest.raises(FeedGap, match="not of"):
        await feed.open(Position("other", 1, "1"))
    with pytest.raises(FeedGap, match="was read up to 8"):
        await feed.open(Position(begin.history, 1, "8"))
    await run(database, "INSERT INTO t VALUES (2, 'a', 0, NULL)")
    with pytest.raises(ConfigError, match="whole number in every row"):
        await feed.open()


async def test_many_rows_are_read_once_however_few_are_taken_at_a_time(database, monkeypatch) -> None:
    """Whoever takes little at a time does not look for it from the beginning each time: it would never be done."""
    feed = polling(database, longest=PATIENCE)
    await feed.open()
    rows = ", ".join(f"({n}, 'a', 0, {n})" for n in range(1, 5_001))
    await run(database, f"INSERT INTO t VALUES {rows}")
    read, fetched = database.read, []

    async def counting(work):
        async def watched(tx):
            async def fetch(*args, **named):
                rows = await tx.fetch(*args, **named)
                fetched.append(len(rows))
                return rows

            return await work(SimpleNamespace(fetch=fetch, fetch_one=tx.fetch_one))

        return await read(watched)

    monkeypatch.setattr(database, "read", counting)
    found = []
    while len(changes(found)) < 5_000:
        found += await feed.take(100)
    assert ids(found) == [str(n) for n in range(1, 5_001)]
    assert sum(fetched) < 12 * 5_000
