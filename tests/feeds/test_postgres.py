"""The feed from PostgreSQL, on a real server: nothing is lost, and what cannot be told is said."""

from __future__ import annotations

import asyncio

import pytest

from tests.servers.postgres import FAST, Postgres
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds import Change, Committed, Heartbeat, Position, PostgresFeed

PATIENCE = 60.0
TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, v text, big text); ALTER TABLE t REPLICA IDENTITY FULL;"
PUBLISHED = f"{TABLE} CREATE PUBLICATION tieout FOR TABLE t"


@pytest.fixture(scope="module")
def server():
    server = Postgres(**FAST, wal_level="logical", max_replication_slots="30", max_wal_senders="30")
    server.create()
    yield server
    server.remove()


class Source:
    """A database whose changes are fed, and what is done in it."""

    def __init__(self, server: Postgres, *statements: str) -> None:
        self.server, self.name = server, server.database()
        self.slot = f"s_{self.name}"
        for statement in statements:
            self.run(statement)

    def run(self, sql: str) -> str:
        return self.server.psql(sql, self.name)

    def feed(self, slot: str = "", **options) -> PostgresFeed:
        return PostgresFeed(self.server.url(self.name), tables=["t"], slot=slot or self.slot, **options)


@pytest.fixture
def source(server):
    return Source(server, PUBLISHED)


async def told(feed: PostgresFeed, count: int = 0) -> list[Committed | Heartbeat]:
    """So many transactions; without a number, all up to a heartbeat that is sent now."""
    if not count:
        await feed.beat()
    found: list[Committed | Heartbeat] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count or (not count and not any(isinstance(one, Heartbeat) for one in found)):
            found += await feed.take(1)
    return found


def changes(found) -> list[Change]:
    return [change for one in found if isinstance(one, Committed) for change in one.changes]


async def test_every_change_is_told_whole(source) -> None:
    """Rows before and after, NULL and empty, a long value that was not touched, a key that changes; in order."""
    feed = source.feed()
    await feed.open()
    long = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) n"
    source.run(f"INSERT INTO t VALUES (1, NULL, ({long})), (2, '', 'ü')")
    source.run("BEGIN; UPDATE t SET v = 'x' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2; COMMIT")
    source.run("DELETE FROM t WHERE id = 1")
    found = await told(feed)
    await feed.close()
    first, second, third, beat = found
    big = first.changes[0].after["big"]
    assert len(big) == 64_000
    assert [change._replace(before=None) for change in first.changes] == [
        Change("t", None, {"id": "1", "v": None, "big": big}),
        Change("t", None, {"id": "2", "v": "", "big": "ü"}),
    ]
    assert second.changes == (
        Change("t", {"id": "1", "v": None, "big": big}, {"id": "1", "v": "x", "big": big}),
        Change("t", {"id": "2", "v": "", "big": "ü"}, {"id": "3", "v": "", "big": "ü"}),
    )
    assert third.changes == (Change("t", {"id": "1", "v": "x", "big": big}, None),)
    places = [one.position.place for one in found]
    assert places == sorted(set(places))
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert abs(beat.at - int(source.run("SELECT (extract(epoch FROM now()) * 1e6)::bigint"))) < PATIENCE * 1e6


async def test_what_was_rolled_back_is_not_told(source) -> None:
    """A transaction that did not commit, and savepoints that were undone, leave nothing."""
    feed = source.feed()
    await feed.open()
    source.run("BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
    source.run("BEGIN; INSERT INTO t VALUES (2); SAVEPOINT a; INSERT INTO t VALUES (3); ROLLBACK TO a; COMMIT")
    found = changes(await told(feed))
    await feed.close()
    assert [change.after["id"] for change in found] == ["2"]


async def test_a_reader_that_dies_anywhere_loses_nothing(source) -> None:
    """Behind the position that was taken in last each transaction is told, also where nothing was confirmed."""
    feed = source.feed()
    begin = await feed.open()
    for number in range(6):
        source.run(f"INSERT INTO t VALUES ({number})")
    seen, last = [], begin
    for number in range(6):
        found = await told(feed, 1)
        seen += [change.after["id"] for change in changes(found)]
        last = found[-1].position
        if number % 2:
            await feed.confirm(last)
        await feed.close()
        feed = source.feed()
        source.server.wait_for(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{source.slot}'", "f")
        await feed.open(last)
    await feed.close()
    assert seen == ["0", "1", "2", "3", "4", "5"]


async def test_a_quiet_source_is_told_from_a_dead_one(source) -> None:
    """A heartbeat comes back behind everything that was committed before it, and without it nothing does."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1)")
    first = await told(feed)
    second = await told(feed)
    await feed.close()
    assert [type(one) for one in first + second] == [Committed, Heartbeat, Heartbeat]
    assert second[0].at >= first[1].at


async def test_a_connection_that_is_cut_is_told(source) -> None:
    """When the server ends the stream, reading raises, and the feed can be opened again behind its last position."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1)")
    last = (await told(feed, 1))[0].position
    source.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL")
    with pytest.raises(DatabaseUnavailable):
        await told(feed, 1)
    await feed.close()
    source.run("INSERT INTO t VALUES (2)")
    await feed.open(last)
    found = changes(await told(feed))
    await feed.close()
    assert [change.after["id"] for change in found] == ["2"]


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ([TABLE], "CREATE PUBLICATION tieout FOR TABLE public.t"),
        (
            ["CREATE TABLE t (id int); CREATE PUBLICATION tieout FOR TABLE t"],
            "ALTER TABLE public.t REPLICA IDENTITY FULL",
        ),
        ([TABLE, "CREATE TABLE o (id int); CREATE PUBLICATION tieout FOR TABLE o"], "ADD TABLE public.t"),
        ([f"{PUBLISHED} WITH (publish = 'insert')"], "SET .publish = 'insert, update, delete, truncate'."),
        ([f"{TABLE} CREATE PUBLICATION tieout FOR TABLE t WHERE (id > 5)"], "leaves out rows or columns"),
        ([f"{TABLE} CREATE PUBLICATION tieout FOR TABLE t (id, v)"], "leaves out rows or columns"),
    ],
)
async def test_what_would_not_be_told_whole_is_refused(server, statements, message) -> None:
    """A feed does not start where changes would be left out; it names the statement that puts it right."""
    with pytest.raises(ConfigError, match=message):
        await Source(server, *statements).feed().open()


async def test_a_server_without_logical_decoding_is_refused() -> None:
    """The setting that is wrong is named."""
    server = Postgres(**FAST)
    server.create()
    try:
        with pytest.raises(ConfigError, match="wal_level = logical"):
            await Source(server, PUBLISHED).feed().open()
    finally:
        server.remove()


async def test_a_slot_of_somebody_else_is_refused(source) -> None:
    """A slot that is being read, or that is for another plugin, is not taken."""
    feed = source.feed()
    await feed.open()
    with pytest.raises(ConfigError, match="read by somebody else"):
        await source.feed().open()
    await feed.close()
    source.run("SELECT pg_create_logical_replication_slot('other', 'test_decoding')")
    with pytest.raises(ConfigError, match="for test_decoding"):
        await source.feed("other").open()
    source.run("SELECT pg_drop_replication_slot('other')")


async def test_changes_that_were_missed_are_a_gap(source) -> None:
    """A slot that is gone or was moved on, and another server, are told: never nothing."""
    feed = source.feed()
    begin = await feed.open()
    source.run("INSERT INTO t VALUES (1)")
    found = await told(feed)
    await feed.confirm(found[-1].position)
    await feed.close()
    idle = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
    source.server.wait_for(idle, "f")
    source.run(f"SELECT pg_replication_slot_advance('{source.slot}', pg_current_wal_lsn())")
    with pytest.raises(FeedGap, match="behind"):
        await feed.open(begin)
    moved = Position("1/1", begin.place)
    with pytest.raises(FeedGap, match="another one"):
        await feed.open(moved)
    source.run(f"SELECT pg_drop_replication_slot('{source.slot}')")
    with pytest.raises(FeedGap, match="is gone"):
        await feed.open(begin)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("TRUNCATE t", "t was truncated"),
        ("ALTER TABLE t REPLICA IDENTITY DEFAULT; INSERT INTO t VALUES (2)", "not REPLICA IDENTITY FULL any more"),
    ],
)
async def test_what_stops_being_whole_stops_the_feed(source, statement, message) -> None:
    """A truncated table, or one that does not log its rows any more, ends the feed with what was missed."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1)")
    source.run(statement)
    with pytest.raises(FeedGap, match=message):
        await told(feed)
    await feed.close()


async def test_columns_may_be_added_while_it_is_read(source) -> None:
    """A change of the table comes with its next row, and no row is read by the old columns."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1)")
    source.run("ALTER TABLE t ADD COLUMN more int DEFAULT 7; ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (2)")
    found = changes(await told(feed))
    await feed.close()
    assert [change.after for change in found] == [
        {"id": "1", "v": None, "big": None},
        {"id": "2", "big": None, "more": "7"},
    ]
