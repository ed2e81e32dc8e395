"""What only NATS does: a stream knows repetitions, and a subject has a grammar."""

from __future__ import annotations

import asyncio

import nats as nats_client
import pytest
from nats.js.errors import NotFoundError

from tests.channels.messages import message
from tieout.channels import nats as nats_channel
from tieout.channels.nats import NatsChannel


@pytest.fixture
def broker(nats):
    return nats


async def test_the_same_message_again_is_stored_once(broker, channel, place, topic):
    """A repetition under the same id is confirmed, and not stored again."""
    for _ in range(3):
        assert await channel.publish([message(1, topic)]) == [None]
    assert len(await broker.kept(place)) == 1


async def test_a_consumer_that_is_deleted_is_made_anew(broker, channel, place, topic, monkeypatch):
    """Whoever consumed by it is told, and who consumes again is given what the stream has."""
    monkeypatch.setattr(nats_channel, "RECEIVE_SECONDS", 0.3)
    subscription = await channel.subscribe(topic)
    client = await nats_client.connect(broker.server.url)
    (consumer,) = await client.jetstream().consumers_info(place)
    await client.jetstream().delete_consumer(place, consumer.name)
    await client.close()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError, match="consumer"):
            await subscription.receive(10)
        await subscription.close()
        await channel.publish([message(1, topic)])
        subscription = await channel.subscribe(topic)
        (came,) = await subscription.receive(10)
    await subscription.close()
    assert came.id == message(1, topic).id


@pytest.mark.parametrize("wrong", ["a b", "{}.*", "{}.>", "{}..x", ".", "{}.x\r\nPUB {}.y 1"])
async def test_what_is_no_subject_is_refused(broker, channel, place, wrong):
    """A topic with a blank or a wildcard never reaches the server."""
    (verdict,) = await channel.publish([message(1, wrong.replace("{}", place))])
    assert "no subject" in verdict
    assert await broker.kept(place) == []


async def test_a_body_that_is_too_long_for_the_server_is_refused(broker, channel, place, topic):
    """The server's limit is a refusal of that message, and the connection goes on."""
    verdicts = await channel.publish([message(1, topic, b"x" * (1 << 21)), message(2, topic)])
    assert "MaxPayload" in verdicts[0] and verdicts[1] is None


async def test_a_subject_with_a_wildcard_is_consumed(channel, place):
    """Everything that it covers comes in, each with its own subject."""
    await channel.publish([message(1, f"{place}.a"), message(2, f"{place}.b.c")])
    subscription = await channel.subscribe(f"{place}.>")
    came = []
    async with asyncio.timeout(60):
        while len(came) < 2:
            came += await subscription.receive(10)
    await subscription.close()
    assert [one.topic for one in came] == [f"{place}.a", f"{place}.b.c"]


async def test_a_message_without_an_id_has_the_streams(broker, channel, place, topic):
    """What others publish without an id is told apart by its place in the stream."""
    client = await nats_client.connect(broker.server.url)
    await client.jetstream().publish(topic, b"x")
    await client.close()
    subscription = await channel.subscribe(topic)
    async with asyncio.timeout(60):
        (came,) = await subscription.receive(10)
    await subscription.close()
    assert (came.id, came.key) == (f"{place}:1", "")


async def test_services_consume_apart(broker, place, topic):
    """Of two groups each is given every message."""
    for group in ("a", "b"):
        channel = NatsChannel(broker.server.url, group=group)
        await channel.publish([message(1, topic)])
        subscription = await channel.subscribe(topic)
        async with asyncio.timeout(60):
            (came,) = await subscription.receive(10)
        await subscription.acknowledge([came])
        await subscription.close()
        await channel.close()
        assert came.id == f"{1:032x}"


async def test_a_subject_of_no_stream_cannot_be_consumed(channel):
    """It is said, and asked again by whoever consumes."""
    with pytest.raises(NotFoundError):
        await channel.subscribe("nobody.hears")
