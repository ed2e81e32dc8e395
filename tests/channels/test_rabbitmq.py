"""What only RabbitMQ does: exchanges, properties, queues that refuse, and a cluster's next server."""

from __future__ import annotations

import asyncio
import gc
import warnings

import aio_pika
import pytest

from tests.channels.messages import SECOND, message
from tieout.channels import rabbitmq
from tieout.channels.rabbitmq import RabbitMQChannel, connect


@pytest.fixture
def broker(rabbitmq):
    return rabbitmq


@pytest.fixture
async def topology(broker):
    """What makes queues and exchanges, over a connection of its own."""
    async with await connect([broker.server.url]) as connection:
        yield await connection.channel()


@pytest.fixture
async def queue(topology, place):
    return await topology.get_queue(place)


async def test_a_queue_that_is_deleted_is_consumed_anew(broker, channel, topology, queue, monkeypatch):
    """The server tells a consumer once that its queue is gone; who consumes again makes it, and is sent what comes."""
    monkeypatch.setattr(rabbitmq, "LOOK_SECONDS", 0.1)
    subscription = await channel.subscribe(queue.name)
    await topology.queue_delete(queue.name)
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError):
            await subscription.receive(10)
        await subscription.close()
        subscription = await channel.subscribe(queue.name)
        await channel.publish([message(1, queue.name)])
        (came,) = await subscription.receive(10)
    await subscription.close()
    assert came.id == message(1, queue.name).id


async def test_properties_say_what_it_is(channel, queue, topic):
    """A message is persistent, and has its id, time and content type where RabbitMQ's tools look for them."""
    await channel.publish([message(7, topic, headers={"content-type": "application/json"})])
    got = await queue.get()
    assert (got.message_id, got.content_type, got.delivery_mode) == (f"{7:032x}", "application/json", 2)
    assert got.timestamp.timestamp() * 1_000_000 == SECOND


async def test_an_exchange_routes(broker, topology, queue, place):
    """With an exchange the topic is the routing key, and what no binding wants is refused."""
    await queue.bind(await topology.declare_exchange(f"{place}.x", "topic", auto_delete=True), "gift.*")
    channel = RabbitMQChannel(broker.server.url, exchange=f"{place}.x")
    first, second = await channel.publish([message(1, "gift.given"), message(2, "stock.changed")])
    await channel.close()
    assert first is None and "stock.changed" in second
    assert (await queue.get()).routing_key == "gift.given"


async def test_an_exchange_that_is_not_there_confirms_nothing(broker, topology, queue, place):
    """Everything waits until somebody has made the exchange; then it is sent."""
    channel = RabbitMQChannel(broker.server.url, exchange=f"{place}.late")
    with pytest.raises(Exception, match="no exchange"):
        await channel.publish([message(1, "t")])
    await queue.bind(await topology.declare_exchange(f"{place}.late", "fanout", auto_delete=True))
    assert await channel.publish([message(1, "t")]) == [None]
    await channel.close()


async def test_a_queue_that_is_full_refuses(topology, queue, channel):
    """A queue that rejects what it has no room for is a refusal of that message, and the others are not affected."""
    full, room = f"{queue.name}.full", {"x-max-length": 1, "x-overflow": "reject-publish"}
    await topology.declare_queue(full, arguments=room, exclusive=True)
    assert await channel.publish([message(1, full)]) == [None]
    refused, taken = await channel.publish([message(2, full), message(3, queue.name)])
    assert "refused" in refused and taken is None


async def test_a_queue_that_is_not_there_is_made_to_last(broker, topology, channel, place):
    """Whoever consumes it first makes it, durable and replicated, and what is published then is kept."""
    name = f"{place}.new"
    subscription = await channel.subscribe(name)
    await subscription.close()
    assert await channel.publish([message(1, name)]) == [None]
    same = await topology.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    assert same.declaration_result.message_count == 1
    await topology.queue_delete(name)


async def test_messages_of_others_are_taken_as_they_are(broker, topology, channel, queue):
    """Properties and headers that others have set come in, values of other types as text."""
    raw = aio_pika.Message(b"x", headers={"n": 7, "Tieout-Key": "a%20b"}, content_type="text/plain")
    await topology.default_exchange.publish(raw, queue.name)
    subscription = await channel.subscribe(queue.name)
    async with asyncio.timeout(60):
        (came,) = await subscription.receive(10)
    await subscription.close()
    assert (came.key, came.body) == ("a b", b"x")
    assert came.headers["n"] == "7" and came.headers["content-type"] == "text/plain"


async def test_what_could_not_connect_leaves_nothing_to_the_collector(caplog):
    """A thread without a loop may collect what a refused connection left: there is nothing to close any more."""
    caplog.set_level("CRITICAL", "aiormq.connection")  # a record would hold what is to be collected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what others have left
    try:
        await connect(["amqp://127.0.0.1:1"])
    except aio_pika.exceptions.AMQPError as error:
        cycle = [error]
        cycle.append(cycle)
    del cycle
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        await asyncio.to_thread(gc.collect)
    assert told == []
