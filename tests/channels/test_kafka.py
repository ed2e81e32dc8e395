"""What only Kafka does: partitions by key, offsets in place of acknowledgements, and groups."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from tests.channels.messages import message
from tieout.channels import kafka
from tieout.channels.kafka import KafkaChannel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker(brokers):
    return brokers("kafka")


async def test_messages_of_a_key_are_in_order(broker, channel, place, topic):
    """The key is the record's key, so that its messages are in one partition, in the order in which they were sent."""
    for number in range(60):
        assert await channel.publish([message(number, topic, b"%d" % number, key=f"k{number % 3}")]) == [None]
    kept = await broker.kept(place)
    for key in range(3):
        assert [int(one.body) for one in kept if one.key == f"k{key}"] == list(range(key, 60, 3))


async def test_a_record_without_an_id_has_its_place_as_one(broker, channel, topic):
    """What others produce is told apart by topic, partition and offset; headers that are no text do no harm."""
    producer = Producer({"bootstrap.servers": broker.server.url})
    producer.produce(topic, b"x", headers=[("h", b"\xff"), ("n", None)])
    await asyncio.to_thread(producer.flush, 30)
    subscription = await channel.subscribe(topic)
    async with asyncio.timeout(60):
        (came,) = await subscription.receive(10)
    await subscription.close()
    name, partition, offset = came.id.rsplit(":", 2)
    assert (name, offset, came.key, came.body) == (topic, "0", "", b"x") and partition.isdigit()
    assert came.headers == {"h": "\N{REPLACEMENT CHARACTER}", "n": ""}


async def test_a_body_that_is_too_long_is_refused(channel, topic):
    """The client's limit is a refusal of that message, and the others are not affected."""
    verdicts = await channel.publish([message(1, topic, b"x" * (1 << 21)), message(2, topic)])
    assert "SIZE" in verdicts[0] and verdicts[1] is None


async def test_services_consume_apart(broker, channel, topic):
    """Of two groups each is given every message, from the beginning."""
    await channel.publish([message(1, topic)])
    for group in ("a", "b"):
        subscription = await KafkaChannel(broker.server.url, group=f"{topic}-{group}").subscribe(topic)
        async with asyncio.timeout(60):
            (came,) = await subscription.receive(10)
        await subscription.close()
        assert came.id == f"{1:032x}"


async def test_one_that_joins_ends_no_other_subscription(channel, topic):
    """While partitions are shared out anew nothing is committed: that is no error, and those messages come again."""
    await channel.publish([message(n, topic) for n in range(100)])
    first = await channel.subscribe(topic)
    found = set()

    async def take(subscription):
        while len(found) < 100:
            came = await subscription.receive(1)
            await subscription.acknowledge(came)
            found.update(one.id for one in came)

    async with asyncio.timeout(90):
        came = await first.receive(1)
        second = await channel.subscribe(topic)
        for _ in range(100):  # the other one waits for its share until the first one looks for more
            await first.acknowledge(came)
        found.update(one.id for one in came)
        both = [asyncio.ensure_future(take(one)) for one in (first, second)]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    ended = [task.exception() for task in both if task.done()]
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    await first.close()
    await second.close()
    assert ended == [None] and len(found) == 100


def test_one_that_leaves_while_partitions_are_given_out_comes_to_its_end():
    """Whatever its group is about to tell it: else the client may wait for ever, and the whole program with it."""
    command = [sys.executable, "-m", "tests.channels.leaving"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()


class Closing:
    """A client that closes in its own way."""

    def __init__(self, settings, close) -> None:
        self._client = Consumer(settings)
        self.close = close

    def __getattr__(self, name: str):
        return getattr(self._client, name)


async def test_a_client_that_does_not_leave_its_group_is_left_behind(channel, topic, monkeypatch, caplog):
    """Closing ends all the same, and is told of; so does the program, which does not wait for that thread."""
    stuck, threads = threading.Event(), set(threading.enumerate())
    monkeypatch.setattr(kafka, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(kafka, "Consumer", partial(Closing, close=stuck.wait))
    subscription = await channel.subscribe(topic)
    async with asyncio.timeout(30):
        await subscription.close()
    waiting = [one for one in set(threading.enumerate()) - threads if one.name == "tieout-kafka-close"]
    stuck.set()
    assert "left behind" in caplog.text
    assert [one.daemon for one in waiting] == [True]


async def test_what_closing_fails_of_is_told(channel, topic, monkeypatch):
    """The client's error is not lost in its thread."""

    def fail() -> None:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN))

    monkeypatch.setattr(kafka, "Consumer", partial(Closing, close=fail))
    subscription = await channel.subscribe(topic)
    with pytest.raises(KafkaException):
        await subscription.close()
