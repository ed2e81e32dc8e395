"""The feed from MariaDB's binlog, on a real server: each way to miss a change is shown, and then refused."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager

import pytest

from tests.feeds.sources import MariaDBSource, changes, gap, ids, mariadb_server, told
from tests.servers.mariadb import binary
from tieout.errors import ConfigError, FeedGap
from tieout.feeds import MySqlFeed

COLUMNS = "id bigint PRIMARY KEY, v varchar(200), big longtext"
BY = ["gtid", "file"]


@pytest.fixture
def source(mariadb):
    source = MariaDBSource(mariadb, "gtid")
    source.create(COLUMNS)
    return source


@pytest.fixture(scope="module")
def apart():
    """A server of its own, for what would disturb others."""
    server = mariadb_server(server_id="8", max_allowed_packet="64M")
    server.create()
    yield server
    server.remove()


@contextmanager
def setting(source, **settings):
    """Settings of the server, put back afterwards."""
    before = {name: source.run(f"SELECT @@global.{name}") for name in settings}
    for name, value in settings.items():
        source.run(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        for name, value in before.items():
            source.run(f"SET GLOBAL {name} = {value if value.isdigit() else repr(value)}")


def logged(source, since: str = "") -> str:
    """What stands in the log's last file, as the server's own tool reads it; behind the last `since`."""
    file = source.run("SHOW MASTER STATUS").split()[0]
    command = [binary("mariadb-binlog"), "--no-defaults", "-v", "--base64-output=decode-rows"]
    read = subprocess.run([*command, str(source.server.data / file)], capture_output=True, check=True)
    text = read.stdout.decode(errors="replace")
    return text.rpartition(since)[2] if since else text


async def begun(source, **options) -> MySqlFeed:
    """A feed that is open and has told the row that is there."""
    feed = source.feed(**options)
    await feed.open()
    source.run("INSERT INTO t VALUES (1, 'a', 'long')")
    assert ids(await told(feed)) == ["1"]
    return feed


def next_second(source) -> None:
    """Wait until another second has begun at the server, which tells by seconds when a file of its log was begun."""
    source.run("SELECT SLEEP(1 - MICROSECOND(SYSDATE(6)) / 1000000)")


async def test_a_row_that_is_logged_in_part_is_a_gap(source) -> None:
    """A session may set MINIMAL for itself: its log does not say what the column was before, or what the others are."""
    feed = await begun(source)
    source.run("SET SESSION binlog_row_image = MINIMAL; UPDATE t SET v = 'b'")
    assert "@3=" not in logged(source, "### UPDATE")
    with pytest.raises(FeedGap, match="binlog_row_image"):
        await told(feed)
    await feed.close()


async def test_a_statement_in_place_of_rows_is_a_gap(source) -> None:
    """A session may set STATEMENT for itself: no row of its changes is in the log."""
    feed = await begun(source)
    source.run("SET SESSION binlog_format = STATEMENT; UPDATE t SET v = 'b'")
    assert "###" not in logged(source, "UPDATE t SET") and source.run("SELECT v FROM t") == "b"
    with pytest.raises(FeedGap, match="UPDATE t SET v = 'b'"):
        await told(feed)
    await feed.close()


async def test_rows_without_names_are_a_gap(source) -> None:
    """Without metadata, columns have numbers only, which a change of the table moves."""
    feed = await begun(source)
    with setting(source, binlog_row_metadata="MINIMAL"):
        source.run("FLUSH TABLES; UPDATE t SET v = 'b'")
        with pytest.raises(FeedGap, match="binlog_row_metadata"):
            await told(feed)
    await feed.close()


async def test_compressed_rows_are_told(source) -> None:
    """Events that are compressed, which readers pass over that do not know them, are told like others."""
    feed = await begun(source)
    with setting(source, log_bin_compress="ON", log_bin_compress_min_len="10"):
        source.run(
            "UPDATE t SET big = repeat('x', 5000); INSERT INTO t VALUES (2, repeat('y', 200), NULL); DELETE FROM t"
        )
        source.run(f"CREATE TABLE c (id int PRIMARY KEY, {', '.join(f'column_{n} int' for n in range(50))})")
    assert "Update_compressed" in logged(source) or "compressed" in logged(source).lower()
    found = changes(await told(feed))
    await feed.close()
    assert [
        (len((change.before or {}).get("big") or ""), len((change.after or {}).get("big") or "")) for change in found
    ] == [
        (4, 5000),
        (0, 0),
        (5000, 0),
        (0, 0),
    ]
    assert found[1].after == {"id": "2", "v": "y" * 200, "big": None}


@pytest.mark.parametrize("by", BY)
async def test_a_log_that_was_purged_is_a_gap(mariadb, by) -> None:
    """What was committed and purged while nobody read is in the table, and in no log."""
    source = MariaDBSource(mariadb, by)
    source.create(COLUMNS)
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    await feed.close()
    source.released()
    source.run("INSERT INTO t VALUES (2, 'b', NULL); FLUSH BINARY LOGS")
    source.purge()
    assert source.run("SELECT count(*) FROM t") == "2"
    with pytest.raises(FeedGap, match="purged"):
        await source.feed().open(kept)
    await feed.open()
    source.run("INSERT INTO t VALUES (3, 'c', NULL)")
    assert ids(await told(feed)) == ["3"]
    await feed.close()


@pytest.mark.parametrize("by", BY)
async def test_a_log_that_was_begun_anew_is_a_gap(apart, by) -> None:
    """After RESET MASTER the same places hold other transactions."""
    source = MariaDBSource(apart, by)
    source.create(COLUMNS)
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    await feed.close()
    source.released()
    next_second(source)
    source.run("INSERT INTO t VALUES (2, 'b', NULL); RESET MASTER")
    for number in range(3, 60):
        source.run(f"INSERT INTO t VALUES ({number}, repeat('c', 200), repeat('d', 500))")
    with pytest.raises(FeedGap):
        await gap(feed, kept)


async def test_another_server_without_the_history_is_a_gap(source, apart) -> None:
    """A server that never had what was read last, such as a replica promoted too early, is not gone on from."""
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    await feed.close()
    other = MariaDBSource(apart, "gtid")
    other.create(COLUMNS)
    with pytest.raises(FeedGap, match="not got what comes next"):
        await gap(other.feed(), kept)
    by_file = MariaDBSource(source.server, "file").feed(tables=[f"{source.name}.t"])
    kept = await by_file.open()
    await by_file.close()
    other.by = "file"
    with pytest.raises(FeedGap, match="another one"):
        await other.feed().open(kept)


async def test_a_number_that_was_left_out_is_a_gap(apart) -> None:
    """Transactions of a domain are numbered without a gap; where one is missing, something was not logged."""
    source = MariaDBSource(apart, "gtid")
    source.create(COLUMNS)
    feed = await begun(source)
    source.run("SET SESSION gtid_seq_no = 1000000; INSERT INTO t VALUES (2, 'b', NULL)")
    with pytest.raises(FeedGap, match=r"behind the GTID 0-\*-"):
        await told(feed)
    await feed.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("TRUNCATE t", "TRUNCATE"),
        ("DROP TABLE t", "DROP TABLE"),
        ("RENAME TABLE t TO u, o TO t", "RENAME TABLE"),
        ("ALTER TABLE t MODIFY v int", "MODIFY"),
        ("ALTER TABLE t DROP PARTITION p0", "DROP PARTITION"),
        ("CREATE OR REPLACE TABLE t (id int PRIMARY KEY)", "CREATE OR REPLACE"),
        ("ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES o (id) ON DELETE CASCADE", "ON DELETE CASCADE"),
    ],
)
async def test_rows_that_change_with_their_table_are_a_gap(mariadb, statement, message) -> None:
    """Rows are gone or other than before, and no row says so in the log."""
    source = MariaDBSource(mariadb, "gtid")
    parts = "PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN (9)"
    parted = "" if "FOREIGN" in statement else f"PARTITION BY RANGE (id) ({parts})"
    source.run(
        f"CREATE TABLE o (id bigint PRIMARY KEY); CREATE TABLE t (id bigint PRIMARY KEY, v varchar(20)) {parted}"
    )
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1, '7')" if "FOREIGN" not in statement else "SELECT 1")
    source.run(statement)
    assert "### DELETE" not in logged(source, statement[:12]) and "### UPDATE" not in logged(source, statement[:12])
    with pytest.raises(FeedGap, match=message):
        await gap(feed)


async def test_columns_may_be_added_while_it_is_read(source) -> None:
    """A change of the table comes with its next row, and no row is read by the old columns."""
    feed = await begun(source)
    source.run("ALTER TABLE t ADD COLUMN more int DEFAULT 7, ADD INDEX (v); ALTER TABLE t DROP COLUMN big")
    source.run("CREATE INDEX i ON t (more); CREATE TABLE u LIKE t; DROP TABLE u; INSERT INTO t (id) VALUES (2)")
    found = changes(await told(feed))
    await feed.close()
    assert [change.after for change in found] == [{"id": "2", "v": None, "more": "7"}]


async def test_a_table_that_was_changed_while_nobody_read_is_a_gap(source) -> None:
    """The statement itself is told to whoever reads; also where it came while the feed was closed."""
    feed = await begun(source)
    kept = (await told(feed))[-1].position
    await feed.close()
    source.run("ALTER TABLE t MODIFY v char(3); INSERT INTO t VALUES (2, '5', NULL)")
    await feed.open(kept)
    with pytest.raises(FeedGap, match="MODIFY"):
        await told(feed)
    await feed.close()


async def test_a_column_that_was_asked_for_and_is_gone_is_a_gap(source) -> None:
    """Its next row comes without it."""
    feed = source.feed(tables={"t": ["id", "v"]})
    await feed.open()
    source.run("ALTER TABLE t DROP COLUMN v; INSERT INTO t (id) VALUES (2)")
    with pytest.raises(FeedGap, match="no column v"):
        await told(feed)
    await feed.close()


async def test_two_phases_are_a_gap(source) -> None:
    """What is prepared is logged before it is decided; rows of other tables do not matter."""
    source.run("CREATE TABLE o (id int PRIMARY KEY)")
    feed = await begun(source)
    source.run("XA START 'x'; INSERT INTO o VALUES (1); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'")
    assert changes(await told(feed)) == []
    source.run("XA START 'y'; INSERT INTO t VALUES (2, 'b', NULL); XA END 'y'; XA PREPARE 'y'; XA ROLLBACK 'y'")
    assert "### INSERT" in logged(source, "XA START") and source.run("SELECT count(*) FROM t") == "1"
    with pytest.raises(FeedGap, match="two phases"):
        await told(feed)
    await feed.close()


async def test_a_clock_that_a_session_sets_moves_nothing(source) -> None:
    """A session may date its transactions as it likes; they are taken for committed between two heartbeats."""
    feed = await begun(source)
    first = (await told(feed))[-1].watermark
    source.run("SET timestamp = 4102444800; INSERT INTO t VALUES (2, 'b', NULL)")
    source.run("SET timestamp = 1000000000; INSERT INTO t VALUES (3, 'b', NULL)")
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["2", "3"]
    assert all(first <= one.at <= source.now() + 1_000_000 for one in found)
    assert found[-1].watermark <= source.now()


@pytest.mark.parametrize("by", BY)
async def test_it_goes_on_from_file_to_file(mariadb, by) -> None:
    """The log's files change while it is read and while it is not."""
    source = MariaDBSource(mariadb, by)
    source.create(COLUMNS)
    feed = await begun(source)
    source.run("FLUSH BINARY LOGS; INSERT INTO t VALUES (2, 'b', NULL); FLUSH BINARY LOGS")
    found = await told(feed)
    await feed.close()
    source.run("INSERT INTO t VALUES (3, 'b', NULL); FLUSH BINARY LOGS; INSERT INTO t VALUES (4, 'b', NULL)")
    await feed.open(found[-1].position)
    found += await told(feed)
    await feed.close()
    assert ids(found) == ["2", "3", "4"]
    places = [one.position.place for one in found]
    assert places == sorted(places)


async def test_a_row_longer_than_a_packet_is_told(apart) -> None:
    """Sixteen megabytes and more come in several packets."""
    source = MariaDBSource(apart, "gtid")
    source.create(COLUMNS)
    feed = source.feed()
    await feed.open()
    source.run("INSERT INTO t VALUES (1, 'a', repeat('x', 40000000)), (2, 'b', 'y')")
    first, second = changes(await told(feed))
    await feed.close()
    assert len(first.after["big"]) == 40_000_000 and set(first.after["big"]) == {"x"}
    assert second.after == {"id": "2", "v": "b", "big": "y"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("binlog_format", "'STATEMENT'"),
        ("binlog_row_image", "'MINIMAL'"),
        ("binlog_row_metadata", "'NO_LOG'"),
        ("mysql56_temporal_format", "OFF"),
    ],
)
async def test_a_server_that_does_not_log_whole_rows_is_refused(source, name, value) -> None:
    """The setting is named, with what it has to be."""
    with setting(source, **{name: value}), pytest.raises(ConfigError, match=f"{name} is .*SET GLOBAL {name} = "):
        await source.feed().open()


async def test_a_server_without_a_log_is_refused() -> None:
    """Nothing would ever come, which is not the same as nothing to tell; nor from a database that is left out."""
    server = mariadb_server(binlog_do_db="other")
    server.create()
    try:
        source = MariaDBSource(server, "gtid")
        source.create(COLUMNS)
        with pytest.raises(ConfigError, match="binlog_do_db"):
            await source.feed().open()
        server.stop()
        del server.settings["log_bin"], server.settings["binlog_do_db"]
        server.start()
        with pytest.raises(ConfigError, match="log_bin is OFF"):
            await source.feed().open()
    finally:
        server.remove()


async def test_changes_that_are_never_logged_are_refused(mariadb) -> None:
    """A foreign key that cascades deletes rows without logging them."""
    source = MariaDBSource(mariadb, "gtid")
    source.run("CREATE TABLE p (id bigint PRIMARY KEY); INSERT INTO p VALUES (1)")
    source.run("CREATE TABLE t (id bigint PRIMARY KEY, p bigint, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)")
    source.run("INSERT INTO t VALUES (1, 1); DELETE FROM p")
    assert source.run("SELECT count(*) FROM t") == "0"
    assert f"### DELETE FROM `{source.name}`.`t`" not in logged(source)
    with pytest.raises(ConfigError, match=r"foreign key .* is not logged"):
        await source.feed().open()


async def test_types_that_the_log_does_not_name_are_refused(mariadb) -> None:
    """A UUID's bytes stand in the log in another order than it is written in; the other columns can be told."""
    source = MariaDBSource(mariadb, "gtid")
    source.create("id bigint PRIMARY KEY, u uuid, z text COMPRESSED")
    with pytest.raises(ConfigError, match=r"t\.u is of type uuid"):
        await source.feed().open()
    feed = source.feed(tables={"t": ["id"]})
    await feed.open()
    source.run("INSERT INTO t VALUES (1, '123e4567-e89b-12d3-a456-426655440000', 'x')")
    assert [change.after for change in changes(await told(feed))] == [{"id": "1"}]
    await feed.close()


async def test_what_is_no_table_is_refused(source) -> None:
    """A name that is none, and one of a table that is not there."""
    with pytest.raises(ConfigError, match="cannot be the name"):
        source.feed(tables=["t'; DROP TABLE t"])
    with pytest.raises(ConfigError, match="no table nowhere"):
        await source.feed(tables=["nowhere"]).open()
    with pytest.raises(ConfigError, match="open the feed"):
        await source.feed().beat()


async def test_a_user_without_the_right_is_told_which(source) -> None:
    """The log is not given to everybody."""
    source.server.sql(f"CREATE USER IF NOT EXISTS plain@'%'; GRANT SELECT ON {source.name}.* TO plain@'%'")
    url = source.server.url(source.name).replace("u@", "plain@")
    with pytest.raises(ConfigError, match=r"REPLICATION SLAVE|BINLOG MONITOR"):
        await MySqlFeed(url, tables=["t"]).open()
