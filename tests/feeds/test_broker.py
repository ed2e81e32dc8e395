"""A feed from messages on real brokers: in the order of the source's log, once or again, a gap for what is missing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import pytest

from tests.feeds.sources import FEEDS, PATIENCE, changes, committed, ids
from tests.feeds.written import envelope, flat, source
from tieout.channels.kafka import KafkaChannel
from tieout.channels.nats import NatsChannel
from tieout.channels.rabbitmq import RabbitMQChannel
from tieout.contracts import Message
from tieout.database import connect
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds import BrokerFeed, Canal, Committed, Debezium, Heartbeat, Position

NUMBERS = itertools.count(1)


class Topic:
    """A topic of a broker, what connectors send there, and feeds from it; the source's clock is this machine's."""

    def __init__(self, case, name: str, folder) -> None:
        self.case, self.name, self.topic = case, name, case.topic(name)
        self.url, self.channel = f"sqlite:///{folder}/{name}.db", case.channel()
        self.lsn = itertools.count(100)

    async def send(self, *documents, key: str = "k") -> None:
        for told in documents:
            body = json.dumps(told).encode()
            verdicts = await self.channel.publish([Message(f"{next(NUMBERS):032x}", self.topic, key, {}, body, 1)])
            assert verdicts == [None]

    def feed(self, reader=None, **options) -> BrokerFeed:
        settings = {"group.protocol": "consumer"}
        inlet = KafkaChannel(self.case.server.url, group=self.name, settings=settings)
        made = BrokerFeed(inlet, self.topic, reader or Debezium(["t"]), database=connect(self.url), **options)
        FEEDS.append(made)
        return made

    def row(self, key: int, *, op: str = "c", lsn: int = 0, at: int = 0, **more):
        """A change of the row `key`, committed now."""
        said = source(lsn or next(self.lsn), (lsn or 0) - 1 if lsn else None, at or now(), **more)
        said["sequence"] = json.dumps([str(said["lsn"] - 1), str(said["lsn"])])
        return envelope(op, None, {"id": key, "v": "x"}, said)


def now() -> int:
    """In milliseconds, and a little later than what was before."""
    return time.time_ns() // 1_000_000 + 1


@pytest.fixture
async def topic(brokers, tmp_path):
    made = await _topic(brokers("kafka"), tmp_path)
    yield made
    await made.channel.close()


async def _topic(case, folder) -> Topic:
    name = f"fed{next(NUMBERS)}"
    await case.make(name)
    await asyncio.sleep(case.settles)
    made = Topic(case, name, folder)
    await made.channel.open()
    database = connect(made.url)
    await database.open()
    await database.transact(lambda tx: tx.execute("CREATE TABLE tieout_heartbeat (beat INTEGER)"))
    await database.transact(lambda tx: tx.execute("INSERT INTO tieout_heartbeat VALUES (0)"))
    await database.close()
    return made


async def test_it_tells_in_order_and_goes_on_behind_what_was_kept(topic) -> None:
    """What was not kept is told again, what was kept is not; places and watermarks rise, nothing is left out."""
    feed = topic.feed()
    begin = await feed.open()
    await topic.send(*(topic.row(key) for key in range(4)))
    first = await committed(feed, 4)
    assert ids(first) == ["0", "1", "2", "3"]
    places = [begin.place, *(one.position.place for one in first)]
    assert places == sorted(set(places))
    assert all(earlier.watermark <= later.watermark <= later.at for earlier, later in itertools.pairwise(first))
    await feed.confirm(first[0].position)
    await feed.close()
    kept = Position.parse(first[1].position.text())
    await feed.open(kept)
    await topic.send(topic.row(4))
    second = await committed(feed, 3)
    await feed.close()
    assert ids(second) == ["2", "3", "4"]
    assert not any(kept.covers(one.position) for one in second)


async def test_what_a_connector_sends_again_is_told_once(topic) -> None:
    """A connector that restarts repeats what it sent: known by its place in the source's log, also after one here."""
    feed = topic.feed()
    await feed.open()
    rows = [topic.row(key) for key in range(3)]
    await topic.send(*rows, *rows[1:], topic.row(3))
    first = await committed(feed, 4)
    assert ids(first) == ["0", "1", "2", "3"]
    await feed.confirm(first[-1].position)
    await feed.close()
    await feed.open(first[-1].position)
    await topic.send(*rows, topic.row(4))
    assert ids(await committed(feed, 1)) == ["4"]


async def test_a_transaction_is_told_whole(topic) -> None:
    """Between its bounds changes are kept until all have come, and then told together; a repetition changes nothing."""
    feed = topic.feed()
    await feed.open()
    name = "7:101"
    block = {"transaction": {"id": name, "total_order": 1, "data_collection_order": 1}}
    rows = [topic.row(key) | block for key in range(3)]
    counts = [{"data_collection": "public.t", "event_count": 3}]
    whole = [
        {"status": "BEGIN", "id": name, "ts_ms": now()},
        *rows,
        {"status": "END", "id": name, "event_count": 3, "data_collections": counts, "ts_ms": now()},
    ]
    await topic.send(*whole, *whole, topic.row(9))
    first, second = await committed(feed, 2)
    assert (ids([first]), ids([second])) == (["0", "1", "2"], ["9"])
    half = [part for part in whole if part is not rows[0]]
    again = [part if "op" not in part else topic.row(5) | block for part in half]
    await topic.send(*again)
    with pytest.raises(FeedGap, match="some messages are missing"):
        await committed(feed, 1)


async def test_a_heartbeat_between_bounds_is_heard(topic) -> None:
    """A transaction of the table of heartbeats alone has nothing to tell but its time, and tells that."""
    feed = topic.feed()
    await feed.open()
    beat = topic.row(1, op="u", table="tieout_heartbeat") | {"transaction": {"id": "7:101"}}
    ends = {"status": "END", "id": "7:101", "event_count": 1, "data_collections": [], "ts_ms": now()}
    await topic.send({"status": "BEGIN", "id": "7:101", "ts_ms": now()}, beat, ends, topic.row(2))
    found = []
    async with asyncio.timeout(PATIENCE):
        while not any(isinstance(one, Committed) for one in found):
            found += await feed.take(1)
    assert [type(one) for one in found] == [Heartbeat, Committed] and ids(found) == ["2"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lsn": 50}, "another history"),
        ({"name": "other"}, "writes where"),
    ],
)
async def test_another_history_is_a_gap(topic, change, named) -> None:
    """New changes at earlier places of the log, or by another writer: what is between is not known."""
    feed = topic.feed()
    await feed.open()
    await topic.send(topic.row(1))
    await committed(feed, 1)
    await topic.send(topic.row(2, at=now() + 1_000, **change))
    with pytest.raises(FeedGap, match=named):
        await committed(feed, 1)


async def test_what_cannot_be_told_is_a_gap_behind_what_can(topic) -> None:
    """What came before is told; the gap comes again whenever it is gone on behind that."""
    feed = topic.feed()
    await feed.open()
    await topic.send(topic.row(1), topic.row(1, op="u"))
    (first,) = await committed(feed, 1)
    with pytest.raises(FeedGap, match="REPLICA IDENTITY FULL"):
        await committed(feed, 1)
    await feed.close()
    await feed.open(first.position)
    with pytest.raises(FeedGap, match="REPLICA IDENTITY FULL"):
        await committed(feed, 1)


async def test_without_a_position_it_begins_now(topic) -> None:
    """What waits in the topic from before is passed over."""
    await topic.send(*(topic.row(key, at=now() - 60_000) for key in range(3)))
    feed = topic.feed()
    await feed.open()
    await topic.send(topic.row(3, at=now() + 1_000))
    assert ids(await committed(feed, 1)) == ["3"]


async def test_what_stood_there_before_it_began_is_not_even_read(topic) -> None:
    """A message that cannot be told is a gap once: whoever begins anew behind it is not stopped by it for ever."""
    feed = topic.feed()
    begin = await feed.open()
    await topic.send(topic.row(1, at=now() + 60_000), topic.row(1, op="u", at=now() + 60_000))
    await committed(feed, 1)
    with pytest.raises(FeedGap, match="REPLICA IDENTITY FULL"):
        await committed(feed, 1)
    await feed.close()
    anew = await feed.open()
    assert not begin.covers(anew)
    await topic.send(topic.row(2, at=now() + 60_000))
    assert ids(await committed(feed, 1)) == ["2"]
    await feed.close()
    await feed.open(Position.parse(anew.text()))
    assert ids(await committed(feed, 1)) == ["2"]


async def test_the_first_message_may_not_be_missing_either(topic) -> None:
    """Behind where it began the numbers go on without one that is left out."""
    feed = topic.feed()
    begin = await feed.open()
    await topic.send(topic.row(1), topic.row(2))
    await feed.confirm((await committed(feed, 2))[0].position)
    await feed.close()
    await feed.open(begin)
    await topic.send(topic.row(3))
    with pytest.raises(FeedGap, match="are gone"):
        await committed(feed, 1)


async def test_a_quiet_source_is_heard_by_its_table(topic) -> None:
    """`beat` writes there; the message of that, and no other one, moves the watermark past what was before."""
    feed = topic.feed(heartbeat="tieout_heartbeat")
    await feed.open()
    await feed.beat()
    database = connect(topic.url)
    await database.open()
    (row,) = await database.read(lambda tx: tx.fetch("SELECT beat FROM tieout_heartbeat"))
    await database.close()
    assert row[0] == 1
    await topic.send({"ts_ms": now()})
    here = asyncio.create_task(feed.here())
    async with asyncio.timeout(PATIENCE):
        while not here.done():
            said = source(next(topic.lsn), 99, now(), table="tieout_heartbeat")
            await topic.send(
                envelope("u", {"beat": 0}, {"beat": 1}, said | {"sequence": json.dumps(["99", str(said["lsn"])])})
            )
            await asyncio.wait({here}, timeout=0.1)  # the imitated cluster forgets what is too much for its memory
    async with asyncio.timeout(PATIENCE):
        (beat,) = [one for one in await feed.take() if isinstance(one, Heartbeat)]
    assert beat.at >= here.result().place - 60_000_000
    assert beat.position.covers(here.result()) and changes([beat]) == []


async def test_taking_may_be_given_up_and_the_feed_closed(topic) -> None:
    """Whoever waits in vain may be cancelled, and nothing is lost by it; a closed feed is not read."""
    feed = topic.feed()
    await feed.open()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.take(), 0.02)
    await topic.send(topic.row(1))
    assert ids(await committed(feed, 1)) == ["1"]
    await feed.close()
    await feed.close()
    with pytest.raises(ConfigError, match="open the feed"):
        await feed.take()


async def test_a_broker_that_cannot_be_reached_is_told(topic) -> None:
    """As a source that does not answer: the feed is opened again later."""
    feed = BrokerFeed(topic.case.channel(topic.case.nowhere), topic.topic, Debezium(["t"]), database=connect(topic.url))
    FEEDS.append(feed)
    with pytest.raises(DatabaseUnavailable):
        await feed.open()


async def test_a_position_of_another_feed_is_refused(topic) -> None:
    """Positions of other topics and formats compare with nothing here."""
    with pytest.raises(FeedGap, match="the position is of"):
        await topic.feed().open(Position("debezium other", 1))
    with pytest.raises(FeedGap, match="none of this feed"):
        await topic.feed().open(Position(f"debezium {topic.topic}", 1, "{"))


async def test_messages_that_the_broker_does_not_have_any_more_are_a_gap(topic) -> None:
    """Behind a position whose next message was acknowledged, or has been removed, something is missing."""
    feed = topic.feed()
    await feed.open()
    await topic.send(*(topic.row(key) for key in range(4)))
    found = await committed(feed, 4)
    await feed.confirm(found[-1].position)
    await feed.close()
    await feed.open(found[0].position)
    await topic.send(topic.row(4))
    with pytest.raises(FeedGap, match="are gone"):
        await committed(feed, 1)


async def test_several_partitions_are_refused(topic) -> None:
    """There is no order among them, and no watermark."""
    feed = topic.feed()
    await feed.open()
    for key in range(40):
        await topic.send(topic.row(key), key=f"k{key}")
    with pytest.raises(FeedGap, match="several partitions"):
        await committed(feed, 41)


async def test_canal_is_fed_from_kafka(topic) -> None:
    """By Kafka's own numbers what is delivered again is told once; times that go back are a gap."""
    feed = topic.feed(Canal(["t"]))
    await feed.open()
    rows = [flat("INSERT", [{"id": str(key), "v": "x"}], es=now() + 2_000) for key in range(3)]
    await topic.send(*rows)
    first = await committed(feed, 3)
    assert ids(first) == ["0", "1", "2"]
    await feed.close()
    await feed.open(first[1].position)
    assert ids(await committed(feed, 1)) == ["2"]
    await topic.send(flat("INSERT", [{"id": "9", "v": "x"}], es=now() - 90_000))
    with pytest.raises(FeedGap, match="times go back"):
        await committed(feed, 1)


@pytest.mark.parametrize("inlet", [NatsChannel("nats://127.0.0.1:1"), RabbitMQChannel("amqp://127.0.0.1:1")])
async def test_brokers_that_do_not_number_messages_are_refused(inlet) -> None:
    """There what was not acknowledged may come behind what is new, and would be taken for a repetition: lost."""
    feed = BrokerFeed(inlet, "t", Debezium(["t"]), database=connect("sqlite://"))
    with pytest.raises(ConfigError, match="through Kafka"):
        await feed.open()
