"""A channel to NATS says that a message is there when a stream has it, and only then."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tieout.channels.nats import NatsChannel
from tieout.contracts import Message
from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.eventloop import LoopCaller, LoopClock
from tieout.messages import Outbox, Relay


def message(number, topic="gifts.given", body=b"{}", headers=None, key=""):
    return Message(f"{number:032x}", topic, key, headers or {}, body, 1)


async def test_a_message_arrives_as_it_was_sent(channel, stream):
    """Subject, headers and body, of every byte there is; the key in a header."""
    body = bytes(range(256))
    assert await channel.publish([message(1, body=body, headers={"content-type": "x"}, key="schlüssel 1")]) == [None]
    ((subject, headers, data),) = await stream.messages()
    assert (subject, data) == ("gifts.given", body)
    assert headers["content-type"] == "x"
    assert headers["Nats-Msg-Id"] == f"{1:032x}"
    assert headers["Tieout-Key"] == "schl%C3%BCssel%201"


async def test_many_at_a_time_are_each_answered(channel, stream):
    """Each of two hundred messages is confirmed, and the stream has each once."""
    assert await channel.publish([message(n, body=b"%d" % n) for n in range(200)]) == [None] * 200
    assert sorted(int(data) for _, _, data in await stream.messages()) == list(range(200))


async def test_the_same_message_again_is_stored_once(channel, stream):
    """A repetition under the same id is confirmed, and not stored again."""
    for _ in range(3):
        assert await channel.publish([message(1)]) == [None]
    assert len(await stream.messages()) == 1


async def test_what_no_stream_stores_is_refused_and_the_others_are_not(channel, stream):
    """A subject that nobody listens to is told, beside messages that arrive."""
    verdicts = await channel.publish([message(1), message(2, topic="nobody.hears"), message(3)])
    assert verdicts[0] is None and verdicts[2] is None
    assert "no stream" in verdicts[1]


@pytest.mark.parametrize("topic", ["a b", "gifts.*", "gifts.>", "gifts..x", ".", "gifts.x\r\nPUB gifts.y 1"])
async def test_what_is_no_subject_is_refused(channel, stream, topic):
    """A topic with a blank or a wildcard never reaches the server."""
    (verdict,) = await channel.publish([message(1, topic=topic)])
    assert "no subject" in verdict
    assert await stream.messages() == []


async def test_a_body_that_is_too_long_for_the_server_is_refused(channel, stream):
    """The server's limit is a refusal of that message, and the connection goes on."""
    verdicts = await channel.publish([message(1, body=b"x" * (1 << 21)), message(2)])
    assert "MaxPayload" in verdicts[0] and verdicts[1] is None


async def test_without_a_server_nothing_is_confirmed():
    """Opening does not fail, and publishing raises."""
    channel = NatsChannel("nats://127.0.0.1:1")
    await channel.open()
    with pytest.raises(TimeoutError):
        await channel.publish([message(1)])
    await channel.close()


async def test_a_broker_that_is_killed_again_and_again_loses_nothing(broker, stream, tmp_path):
    """Every message of the outbox is in the stream once, in order for each key, whatever the broker went through."""
    database = connect(f"sqlite:///{tmp_path}/shop.db")
    await database.open()
    await migrate(database)
    outbox, chance = Outbox(database.dialect), Random(5)
    channel = NatsChannel(broker.url)
    relay = Relay("nats", channel, database, LoopClock(), LoopCaller(), chance, "node")

    async def write(tx, first):
        for number in range(first, first + 100):
            await outbox.add(tx, "nats/gifts.given", b"%d" % number, key=f"k{number % 50}")

    kills = 0
    for first in range(0, 1000, 100):
        await database.transact(lambda tx, first=first: write(tx, first))
        sending = asyncio.ensure_future(relay.round())
        if kills < 3:
            await asyncio.sleep(chance.random() / 50)
            broker.kill()
            kills += 1
            assert await sending in {"broken", "sent"}
            broker.start()
        else:
            await sending
    async with asyncio.timeout(60):
        while await database.read(outbox.waiting):
            await relay.round()
    await channel.close()
    await database.close()
    arrived = [int(data) for _, _, data in await stream.messages()]
    assert sorted(arrived) == list(range(1000))
    for key in range(50):
        of_key = [number for number in arrived if number % 50 == key]
        assert of_key == sorted(of_key)
