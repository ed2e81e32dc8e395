"""What every feed does, whatever it reads: told whole, in order, once or again, and never without a word.

What a source `lacks` is asked for all the same, and what stands in its place is held to as well: a refusal, or the
weaker promise that the page about following by messages makes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import pytest

from tests.feeds.connected import Connected
from tests.feeds.sources import PATIENCE, MariaDBSource, PostgresSource, changes, committed, ids, told
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds import Change, Committed, Heartbeat, Position, net

COLUMNS = "id bigint PRIMARY KEY, v varchar(200)"
LOAD = 100_000
MEGABYTES = 12 << 20


def resident() -> int:
    """Bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(params=["postgres", "gtid", "file", "debezium", "canal"])
def source(request):
    of_postgres, of_messages = request.param in ("postgres", "debezium"), request.param in ("debezium", "canal")
    server = request.getfixturevalue("postgres" if of_postgres else "mariadb")
    by = "file" if request.param == "file" else "gtid"
    made = PostgresSource(server) if of_postgres else MariaDBSource(server, by)
    return Connected(made, request.getfixturevalue("brokers")("kafka")) if of_messages else made


@pytest.fixture
def table(source):
    source.create(COLUMNS)
    return source


def coarse(source) -> int:
    """Microseconds by which its times may be too early."""
    return 1_000_000 if "exact" in source.lacks else 0


async def test_rows_are_told_before_and_after(table) -> None:
    """What was inserted, changed and deleted, with all columns, NULL and an empty text apart.

    Debezium takes a changed key for a delete and an insert.
    """
    feed = table.feed()
    await feed.open()
    table.run("INSERT INTO t VALUES (1, NULL), (2, '')")
    table.run("UPDATE t SET v = 'x' WHERE id = 1")
    table.run("UPDATE t SET id = 3 WHERE id = 2")
    table.run("DELETE FROM t WHERE id = 1")
    found = changes(await told(feed))
    await feed.close()
    was, now = {"id": "2", "v": ""}, {"id": "3", "v": ""}
    moved = [Change("t", was, None), Change("t", None, now)] if "keys" in table.lacks else [Change("t", was, now)]
    assert found == [
        Change("t", None, {"id": "1", "v": None}),
        Change("t", None, {"id": "2", "v": ""}),
        Change("t", {"id": "1", "v": None}, {"id": "1", "v": "x"}),
        *moved,
        Change("t", {"id": "1", "v": "x"}, None),
    ]


async def test_a_transaction_is_told_whole_and_once_it_is_committed(table) -> None:
    """Its changes come together, in their order; the net effect leaves out what was undone within.

    Canal's messages do not say what belongs together: each is told by itself, and the order is the same.
    """
    feed = table.feed()
    await feed.open()
    table.together(
        "INSERT INTO t VALUES (1, 'a')",
        "UPDATE t SET v = 'b'",
        "INSERT INTO t VALUES (2, 'c')",
        "DELETE FROM t WHERE id = 2",
    )
    *found, beat = await told(feed)
    await feed.close()
    assert isinstance(beat, Heartbeat) and len(found) == (4 if "whole" in table.lacks else 1)
    made = changes(found)
    assert len(made) == 4 and net(made, {"t": ["id"]}) == [Change("t", None, {"id": "1", "v": "b"})]


async def test_what_was_rolled_back_is_not_told(table) -> None:
    """A transaction that did not commit leaves nothing, nor does what was undone to a savepoint."""
    feed = table.feed()
    await feed.open()
    table.run("BEGIN; INSERT INTO t VALUES (1, 'a'); ROLLBACK")
    table.together(
        "INSERT INTO t VALUES (2, 'a')", "SAVEPOINT s", "INSERT INTO t VALUES (3, 'a')", "ROLLBACK TO SAVEPOINT s"
    )
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["2"]


async def test_transactions_come_in_the_order_of_their_commits(table) -> None:
    """Places, times and watermarks only rise, and a heartbeat's watermark lies behind what was committed before it."""
    feed = table.feed()
    begin = await feed.open()
    for number in range(20):
        table.run(f"INSERT INTO t VALUES ({number}, 'v')")
    before = table.now()
    found = await told(feed)
    await feed.close()
    assert ids(found) == [str(number) for number in range(20)]
    places = [one.position.place for one in found]
    assert places == sorted(places) and places[0] > begin.place and len(set(places[:-1])) == 20
    assert all(earlier.watermark <= later.watermark for earlier, later in itertools.pairwise(found))
    assert all(one.watermark <= one.at for one in found)
    assert before - coarse(table) <= found[-1].watermark <= table.now()


async def test_commit_times_are_the_sources(table) -> None:
    """No earlier than the commit, and later by no more than the second that some sources tell."""
    feed = table.feed()
    await feed.open()
    before = table.now()
    table.run("INSERT INTO t VALUES (1, 'v')")
    after = table.now()
    first = (await told(feed, 1))[0]
    await feed.close()
    assert before <= first.at <= after + 1_000_000


async def test_commit_times_of_what_waited_are_the_sources_too(table) -> None:
    """What was committed while nobody read is told with the time of that, and with no watermark ahead of it."""
    feed = table.feed()
    kept = await feed.open()
    await feed.close()
    table.released()
    before = table.now()
    table.run("INSERT INTO t VALUES (1, 'v')")
    after = table.now()
    await feed.open(kept)
    first = (await told(feed, 1))[0]
    await feed.close()
    assert before <= first.at <= after + 1_000_000 and first.watermark <= first.at


async def test_it_goes_on_behind_what_was_kept_and_misses_nothing(table) -> None:
    """A reader that dies anywhere is followed by one that begins behind the position kept last, as one text."""
    feed = table.feed()
    kept = (await feed.open()).text()
    for number in range(6):
        table.run(f"INSERT INTO t VALUES ({number}, 'v')")
    seen = []
    for number in range(6):
        found = await told(feed, 1)
        seen += ids(found)
        kept = found[-1].position.text()
        if number % 2:
            await feed.confirm(found[-1].position)
        await feed.close()
        feed = table.feed()
        table.released()
        await feed.open(Position.parse(kept))
    table.run("INSERT INTO t VALUES (6, 'v')")
    seen += ids(await told(feed))
    await feed.close()
    assert seen == ["0", "1", "2", "3", "4", "5", "6"]


async def test_what_is_told_again_can_be_told_from_what_is_new(table) -> None:
    """From an earlier position all is told again, equally, at the same positions: what was kept covers them."""
    feed = table.feed()
    begin = await feed.open()
    table.run("INSERT INTO t VALUES (1, 'v')")
    table.run("INSERT INTO t VALUES (2, 'v')")
    first = await told(feed, 2)
    await feed.close()
    table.released()
    await feed.open(begin)
    table.run("INSERT INTO t VALUES (3, 'v')")
    second = [one for one in await told(feed) if isinstance(one, Committed)]
    await feed.close()
    assert [(one.position, one.changes) for one in first] == [(one.position, one.changes) for one in second[:2]]
    kept = first[-1].position
    assert [kept.covers(one.position) for one in second] == [True, True, False]


async def test_without_a_position_it_begins_now(table) -> None:
    """What was committed before is not told, though the source still has it.

    What its connector sends only now, of the same second of a log that counts in seconds, may be told as well.
    """
    feed = table.feed()
    await feed.open()
    await feed.close()
    table.released()
    table.run("INSERT INTO t VALUES (1, 'v')")
    await feed.open()
    table.run("INSERT INTO t VALUES (2, 'v')")
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["2"] or ("exact" in table.lacks and ids(found) == ["1", "2"])


async def test_a_quiet_source_beats(table) -> None:
    """A heartbeat comes without any change, its watermark rises, and its position can be gone on from."""
    feed = table.feed()
    await feed.open()
    (first,) = await told(feed)
    (second,) = await told(feed)
    while "exact" in table.lacks and second.watermark == first.watermark:
        (second,) = await told(feed)
    await feed.close()
    assert isinstance(first, Heartbeat) and isinstance(second, Heartbeat)
    assert first.watermark < second.watermark
    table.released()
    table.run("INSERT INTO t VALUES (1, 'v')")
    await feed.open(second.position)
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["1"]


async def test_other_tables_are_not_told_and_do_not_hold_it_up(table) -> None:
    """What is committed elsewhere only moves the watermark."""
    feed = table.feed()
    await feed.open()
    table.run("CREATE TABLE other (id int PRIMARY KEY)")
    for number in range(5):
        table.run(f"INSERT INTO other VALUES ({number})")
    found = await told(feed)
    await feed.close()
    assert changes(found) == []


async def test_a_slow_reader_lets_the_source_wait(table) -> None:
    """Of 25 MB that nobody takes little is read ahead; taken in the end, it is whole, and little is held at a time."""
    feed = table.feed()
    await feed.open()
    for first in range(0, LOAD, LOAD // 20):
        table.run(f"INSERT INTO t SELECT n + {first}, repeat('x', 200) FROM {table.series(LOAD // 20)}")
    before = resident()
    for _ in range(20):
        await asyncio.sleep(0.02)  # so that the event loop reads what there is to be read
    ahead = resident() - before
    seen, largest = 0, 0
    async with asyncio.timeout(PATIENCE):
        while seen < LOAD:
            taken = sum(len(one.changes) for one in await feed.take(1_000) if isinstance(one, Committed))
            seen, largest = seen + taken, max(largest, taken)
    await feed.close()
    assert seen == LOAD
    assert ahead < MEGABYTES
    assert largest <= 1_100 if "whole" in table.lacks else largest == LOAD // 20


async def test_taking_may_be_given_up(table) -> None:
    """Whoever waits in vain may be cancelled, and nothing is lost by it."""
    feed = table.feed()
    await feed.open()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.take(), 0.02)
    table.run("INSERT INTO t VALUES (1, 'v')")
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["1"]


async def test_a_connection_that_is_cut_is_told(table) -> None:
    """Taking raises, and the feed goes on behind its last position once it is opened again.

    A connector that crashed is silent and then goes on by itself: Debezium's tells its places again, which are known.
    """
    feed = table.feed()
    await feed.open()
    table.run("INSERT INTO t VALUES (1, 'v')")
    last = (await told(feed, 1))[0].position
    table.cut()
    if "cuts" in table.lacks:
        table.run("INSERT INTO t VALUES (2, 'v')")
        assert ids(await told(feed)) == (["1", "2"] if "again" in table.lacks else ["2"])
        return
    with pytest.raises(DatabaseUnavailable):
        await told(feed, 1)
    await feed.close()
    table.released()
    table.run("INSERT INTO t VALUES (2, 'v')")
    await feed.open(last)
    found = await told(feed)
    await feed.close()
    assert ids(found) == ["2"]


async def test_values_are_told_exactly(source) -> None:
    """Money to its last digit, a moment in UTC to the microsecond, any text, bytes as digits, a flag, NULL."""
    source.create(
        f"id bigint PRIMARY KEY, money {source.MONEY}, at {source.MOMENT}, note varchar(50), raw {source.BYTES}, n int"
    )
    feed = source.feed()
    await feed.open()
    last = "2026-11-22 23:59:59.999999"
    source.run(
        f"INSERT INTO t VALUES (9223372036854775807, 1234567890123456.7890, '{last}', '漢字 ü \" ''', "
        f"{source.raw}, NULL), (-1, -0.0001, '2026-03-29 01:30:00', '', '', 0)"
    )
    found = [change.after for change in changes(await told(feed))]
    await feed.close()
    assert [{**row, "at": row["at"].replace("+00:00", "+00").replace(".000000", "")} for row in found] == [
        {
            "id": "9223372036854775807",
            "money": "1234567890123456.7890",
            "at": f"{last}+00",
            "note": "漢字 ü \" '",
            "raw": "\\x00ff10",
            "n": None,
        },
        {"id": "-1", "money": "-0.0001", "at": "2026-03-29 01:30:00+00", "note": "", "raw": "\\x", "n": "0"},
    ]


async def test_only_the_columns_that_were_asked_for_are_told(source) -> None:
    """The others are passed over; one that is not there is refused: by a feed of messages once it sees the first."""
    source.create("id bigint PRIMARY KEY, a int, b varchar(10), c int")
    feed = source.feed(tables={"t": ["id", "b"]})
    await feed.open()
    source.run("INSERT INTO t VALUES (1, 2, 'x', NULL)")
    found = changes(await told(feed))
    await feed.close()
    assert found == [Change("t", None, {"id": "1", "b": "x"})]
    source.released()
    feed = source.feed(tables={"t": ["id", "z"]})
    if "checks" not in source.lacks:
        with pytest.raises(ConfigError, match="no column z"):
            await feed.open()
        return
    await feed.open()
    source.run("INSERT INTO t VALUES (2, 2, 'x', NULL)")
    with pytest.raises(FeedGap, match="no column z"):
        await told(feed, 1)


async def test_it_says_where_the_source_is(table) -> None:
    """Whatever was committed before it was asked stands at or before that place; messages say it where one reads."""
    feed = table.feed()
    begin = await feed.open()
    table.run("INSERT INTO t VALUES (1, 'v')")
    here = await feed.here()
    table.run("INSERT INTO t VALUES (2, 'v')")
    first, second = await committed(feed, 2)
    assert here.covers(begin) and here.covers(first.position) and not here.covers(second.position)
    if "open" in table.lacks:
        with pytest.raises(ConfigError, match="open the feed"):
            await table.feed().here()
    else:
        assert (await table.feed().here()).covers(second.position)
    await feed.close()
