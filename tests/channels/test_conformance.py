"""A channel says that a message is there when the broker has it for good, and only then: one suite, every broker."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.channels.cases import KILLABLE, Kept
from tests.channels.messages import message
from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.eventloop import LoopCaller, LoopClock
from tieout.messages import Outbox, Relay


async def test_a_message_arrives_as_it_was_sent(broker, channel, place, topic):
    """Id, topic, key, headers and body, of every byte there is."""
    body = bytes(range(256))
    sent = message(1, topic, body, headers={"content-type": "x"}, key="schlüssel 1")
    assert await channel.publish([sent]) == [None]
    assert await broker.kept(place) == [Kept(sent.id, topic, "schlüssel 1", {"content-type": "x"}, body)]


async def test_many_at_a_time_are_each_answered(broker, channel, place, topic):
    """Each of two hundred messages is confirmed, and the broker has each once."""
    assert await channel.publish([message(n, topic, b"%d" % n) for n in range(200)]) == [None] * 200
    assert sorted(int(one.body) for one in await broker.kept(place)) == list(range(200))


async def test_what_nobody_keeps_is_refused_and_the_others_are_not(broker, channel, place, topic):
    """A topic that nobody listens to is told, beside messages that arrive, in order as they have one key."""
    sent = [message(1, topic, key="k"), message(2, broker.nobodys_topic, key="k"), message(3, topic, key="k")]
    verdicts = await channel.publish(sent)
    assert verdicts[0] is None and verdicts[2] is None
    assert broker.nobodys_topic in verdicts[1]
    assert [one.id for one in await broker.kept(place)] == [f"{n:032x}" for n in (1, 3)]


async def test_the_longest_topic_and_body_arrive_or_are_refused(broker, channel, place, topic):
    """What the outbox takes, the broker takes, or the channel says why not; the next message arrives either way."""
    verdicts = await channel.publish([message(1, topic, b"x" * (1 << 18)), message(2, "ü" * 200), message(3, topic)])
    assert verdicts[0] is None and isinstance(verdicts[1], str) and verdicts[2] is None
    assert len(await broker.kept(place)) == 2


async def test_without_a_server_nothing_is_confirmed(broker):
    """Opening does not fail, and publishing raises."""
    channel = broker.channel(broker.nowhere)
    await channel.open()
    with pytest.raises(OSError):  # noqa: PT011 - a time-out or a refusal, whichever the client finds
        await channel.publish([message(1, "t")])
    await channel.close()


async def test_the_next_server_is_tried(broker, place, topic):
    """Of several servers one that answers is used."""
    channel = broker.channel(broker.nowhere, broker.server.url)
    assert await channel.publish([message(1, topic)]) == [None]
    await channel.close()


@pytest.mark.parametrize("broker", KILLABLE, indirect=True)
async def test_a_frozen_broker_confirms_nothing_and_a_thawed_one_everything(broker, channel, place, topic):
    """What a broker that hangs has not confirmed raises, and is sent again when it answers again."""
    assert await channel.publish([message(1, topic)]) == [None]
    broker.server.freeze()
    try:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client finds first
            await channel.publish([message(2, topic)])
    finally:
        broker.server.thaw()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await channel.publish([message(2, topic)]) == [None]
            except (OSError, TimeoutError):
                continue
            break
    assert {one.id for one in await broker.kept(place)} == {f"{n:032x}" for n in (1, 2)}


@pytest.mark.parametrize("broker", KILLABLE, indirect=True)
async def test_a_broker_that_is_killed_again_and_again_loses_nothing(broker, place, topic, tmp_path):
    """Every message of the outbox is there, in order for each key, whatever the broker went through."""
    database = connect(f"sqlite:///{tmp_path}/shop.db")
    await database.open()
    await migrate(database)
    outbox, chance = Outbox(database.dialect), Random(5)
    channel = broker.channel()
    relay = Relay("broker", channel, database, LoopClock(), LoopCaller(), chance, "node")

    async def write(tx, first):
        for number in range(first, first + 100):
            await outbox.add(tx, f"broker/{topic}", b"%d" % number, key=f"k{number % 50}")

    await asyncio.sleep(broker.settles)
    kills = 0
    for first in range(0, 1000, 100):
        await database.transact(lambda tx, first=first: write(tx, first))
        sending = asyncio.ensure_future(relay.round())
        if kills < 3:
            await asyncio.sleep(chance.random() / 20)
            broker.server.kill()
            kills += 1
            assert await sending in {"broken", "sent"}
            broker.server.start()
        else:
            await sending
    async with asyncio.timeout(120):
        while await database.read(outbox.waiting):
            await relay.round()
    await channel.close()
    await database.close()
    arrived = _first_of_each([int(one.body) for one in await broker.kept(place)])
    assert sorted(arrived) == list(range(1000))
    for key in range(50):
        of_key = [number for number in arrived if number % 50 == key]
        assert of_key == sorted(of_key)


def _first_of_each(numbers):
    return list(dict.fromkeys(numbers))
