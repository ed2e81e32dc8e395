"""The feed from PostgreSQL, on a real server: each way to miss a change is shown, and then refused or told."""

from __future__ import annotations

import pytest

from tests.feeds.sources import PostgresSource, changes, gap, ids, postgres_server, told
from tests.servers.postgres import FAST, Postgres
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds import Committed, Position, PostgresFeed

COLUMNS = "id bigint PRIMARY KEY, v text, big text"
TABLE = f"CREATE TABLE t ({COLUMNS}); ALTER TABLE t REPLICA IDENTITY FULL;"
PUBLISHED = f"{TABLE} CREATE PUBLICATION tieout FOR TABLE t"


@pytest.fixture
def server(postgres):
    return postgres


@pytest.fixture
def source(server):
    source = PostgresSource(server)
    source.create(COLUMNS)
    return source


def prepared(server: Postgres, *statements: str) -> PostgresSource:
    """A database in which this was done."""
    source = PostgresSource(server)
    for statement in statements:
        source.run(statement)
    return source


@pytest.fixture
def shown(source):
    """What the log holds from now on, as another reader would write it."""
    slot = f"shown_{source.name}"
    source.run(f"SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')")

    def read() -> str:
        source.run("CHECKPOINT")  # only what is on the disk can be looked at
        return source.run(f"SELECT data FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL)")

    yield read
    source.run(f"SELECT pg_drop_replication_slot('{slot}')")


async def begun(source) -> PostgresFeed:
    """A feed that is open and has told the row that is there."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1, '1', 'long')")
    assert ids(await told(feed)) == ["1"]
    return feed


async def test_a_long_value_that_was_not_touched_is_told(source, shown) -> None:
    """The log leaves out what was not touched and is kept apart; it is what it was before, and not NULL."""
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t SELECT 1, 'a', string_agg(md5(n::text), '') FROM generate_series(1, 2000) n")
    source.run("UPDATE t SET v = 'b'")
    assert "big[text]:unchanged-toast-datum" in shown().rpartition("new-tuple")[2]
    _, change = changes(await told(feed))
    assert (change.before["v"], change.after["v"]) == ("a", "b")
    assert len(change.after["big"]) == 64_000 and change.before["big"] == change.after["big"]


async def test_a_type_that_is_changed_is_a_gap(source, shown) -> None:
    """Every row is written anew, and no row of that is in the log; also where it happens while nobody reads."""
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    source.run("ALTER TABLE t ALTER COLUMN v TYPE int USING v::int * 100; INSERT INTO t VALUES (2, 2)")
    assert "UPDATE" not in shown() and source.run("SELECT v FROM t WHERE id = 1") == "100"
    with pytest.raises(FeedGap, match="type of v was changed"):
        await told(feed)
    await feed.close()
    source.released()
    with pytest.raises(FeedGap, match="type of v was changed"):
        await gap(source.feed(), kept)


async def test_a_table_that_was_made_anew_is_a_gap(source) -> None:
    """Rows of a table that was dropped are gone without a word; the new one has its name only."""
    feed = await begun(source)
    source.run("DROP TABLE t; CREATE TABLE t (id bigint PRIMARY KEY, v text, big text)")
    source.run("ALTER TABLE t REPLICA IDENTITY FULL; ALTER PUBLICATION tieout ADD TABLE t; INSERT INTO t VALUES (2)")
    with pytest.raises(FeedGap, match="another table than before"):
        await told(feed)


async def test_a_column_that_was_asked_for_and_is_gone_is_a_gap(source) -> None:
    """Its next row comes without it."""
    feed = source.feed(tables={"t": ["id", "v"]})
    await feed.open()
    source.run("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (2)")
    with pytest.raises(FeedGap, match="no column v"):
        await told(feed)


async def test_a_standby_that_was_promoted_is_a_gap(source) -> None:
    """It has no slot, and may lack what was committed last; it is on another timeline, which is seen."""
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    await feed.close()
    standby = source.server.standby("b")
    try:
        standby.promote()
        assert standby.psql("SELECT count(*) FROM pg_replication_slots") == "0"
        with pytest.raises(FeedGap, match="standby that was promoted"):
            await PostgresFeed(standby.url(source.name), tables=["t"], slot=source.slot).open(kept)
    finally:
        standby.remove()


async def test_a_log_that_was_removed_is_a_gap() -> None:
    """A slot that kept too much loses it (max_slot_wal_keep_size); the feed can begin anew, behind the gap."""
    server = postgres_server()
    server.settings |= {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    server.create()
    try:
        source = PostgresSource(server)
        source.create(COLUMNS)
        feed = await begun(source)
        kept = (await told(feed))[-1].position
        await feed.close()
        source.released()
        lost = f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
        for number in range(8):
            source.run(f"INSERT INTO t VALUES ({number + 2}); SELECT pg_switch_wal(); CHECKPOINT")
        server.wait_for(lost, "lost")
        with pytest.raises(FeedGap, match="max_slot_wal_keep_size"):
            await feed.open(kept)
        await feed.open()
        source.run("INSERT INTO t VALUES (100)")
        assert ids(await told(feed)) == ["100"]
        await feed.close()
    finally:
        server.remove()


async def test_values_are_written_the_same_whatever_the_server_is_set_to(source) -> None:
    """A database may write dates its own way, in its own zone; what is told stays as offline comparisons read it."""
    source.run("ALTER TABLE t ADD COLUMN at timestamptz, ADD COLUMN raw bytea, ADD COLUMN f float8")
    source.run(f"ALTER DATABASE {source.name} SET datestyle = 'SQL, DMY'")
    source.run(f"ALTER DATABASE {source.name} SET timezone = 'Asia/Shanghai'")
    source.run(f"ALTER DATABASE {source.name} SET bytea_output = 'escape'")
    source.run(f"ALTER DATABASE {source.name} SET extra_float_digits = -10")
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1, NULL, NULL, '2026-11-22 03:00+08', 'a', 0.1::float8 + 0.2)")
    (change,) = changes(await told(feed))
    assert (change.after["at"], change.after["raw"]) == ("2026-11-21 19:00:00+00", "\\x61")
    assert change.after["f"] == "0.30000000000000004"


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
        await prepared(server, *statements).feed().open()


async def test_a_server_without_logical_decoding_is_refused() -> None:
    """The setting that is wrong is named."""
    server = Postgres(**FAST)
    server.create()
    try:
        with pytest.raises(ConfigError, match="wal_level = logical"):
            await prepared(server, PUBLISHED).feed().open()
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
        await source.feed(slot="other").open()
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


async def test_where_the_log_ends_takes_no_further_connection_of_an_open_feed(source, monkeypatch) -> None:
    """A server that has as many walsenders as it may, the feed's among them, can still be followed."""
    feed = await begun(source)

    async def none_left(**_):
        raise DatabaseUnavailable("number of requested standby connections exceeds max_wal_senders")

    monkeypatch.setattr(feed, "_connect", none_left)
    source.run("INSERT INTO t VALUES (2, '2', 'long')")
    here = await feed.here()
    source.run("INSERT INTO t VALUES (3, '3', 'long')")
    before, behind = [one.position for one in await told(feed) if isinstance(one, Committed)]
    assert here.covers(before) and behind.covers(here) and not here.covers(behind)
    await feed.close()
    with pytest.raises(DatabaseUnavailable, match="max_wal_senders"):
        await feed.here()
