"""The kinds of broker: how each is started, what keeps its messages, and what it has kept."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import unquote

import nats
from aio_pika.exceptions import AMQPError
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tieout.channels.kafka import KafkaChannel
from tieout.channels.nats import NatsChannel
from tieout.channels.rabbitmq import RabbitMQChannel, connect

SETTLED_SECONDS = 30.0
"""Longest that a broker may take after its start until its queues can be used."""

QUORUM_SECONDS = 2.0
"""How long a quorum queue that was just declared is left alone: a kill before that may have it forgotten."""


KILLABLE = ("nats", "rabbitmq")
"""Brokers that run in a process of their own."""


class Kept(NamedTuple):
    """A message as a broker has it."""

    id: str
    topic: str
    key: str
    headers: dict[str, str]
    body: bytes


class NatsCase:
    """NATS JetStream: a stream for each place."""

    name = "nats"
    nowhere = "nats://127.0.0.1:1"
    settles = 0.0
    nobodys_topic = "nobody.hears"

    def __init__(self) -> None:
        self.server = Nats()

    def channel(self, *servers: str) -> NatsChannel:
        return NatsChannel(*(servers or (self.server.url,)), ack_wait=2.0)

    def topic(self, place: str) -> str:
        return f"{place}.given"

    async def make(self, place: str) -> None:
        """Make a place that keeps messages."""
        client = await nats.connect(self.server.url)
        await client.jetstream().add_stream(name=place, subjects=[f"{place}.>"])
        await client.close()

    async def drop(self, place: str) -> None:
        client = await nats.connect(self.server.url)
        await client.jetstream().delete_stream(place)
        await client.close()

    async def kept(self, place: str) -> list[Kept]:
        """Every message of a place, in order."""
        client = await nats.connect(self.server.url)
        stream = client.jetstream()
        state = (await stream.stream_info(place)).state
        held = [await stream.get_msg(place, seq) for seq in range(1, state.messages + 1)]
        await client.close()
        return [_of_nats(one.subject, dict(one.headers or {}), one.data or b"") for one in held]


class RabbitMQCase:
    """RabbitMQ: a quorum queue for each place."""

    name = "rabbitmq"
    nowhere = "amqp://127.0.0.1:1"
    settles = QUORUM_SECONDS
    nobodys_topic = "nobody.hears"

    def __init__(self) -> None:
        self.server = RabbitMQ()

    def channel(self, *servers: str) -> RabbitMQChannel:
        return RabbitMQChannel(*(servers or (self.server.url,)))

    def topic(self, place: str) -> str:
        return place

    async def make(self, place: str) -> None:
        """Make a place that keeps messages."""
        async with await connect([self.server.url]) as connection:
            channel = await connection.channel()
            await channel.declare_queue(place, durable=True, arguments={"x-queue-type": "quorum"})

    async def drop(self, place: str) -> None:
        async with await connect([self.server.url]) as connection:
            await (await connection.channel()).queue_delete(place)

    async def kept(self, place: str) -> list[Kept]:
        """Every message of a place, in order; they stay there."""
        async with asyncio.timeout(SETTLED_SECONDS):
            while True:
                try:
                    return await self._kept(place)
                except AMQPError:  # the queue has no leader yet
                    await asyncio.sleep(0.1)

    async def _kept(self, place: str) -> list[Kept]:
        found = []
        async with await connect([self.server.url]) as connection:
            queue = await (await connection.channel()).get_queue(place)
            while (one := await queue.get(fail=False)) is not None:
                headers = {name: str(value) for name, value in one.headers.items() if name != "x-delivery-count"}
                key = unquote(headers.pop("Tieout-Key"))
                found.append(Kept(one.message_id or "", one.routing_key or "", key, headers, one.body))
        return found


def _of_nats(subject: str | None, headers: dict[str, str], body: bytes) -> Kept:
    key, message_id = unquote(headers.pop("Tieout-Key")), headers.pop("Nats-Msg-Id")
    return Kept(message_id, subject or "", key, headers, body)


class KafkaCase:
    """Kafka, as its client imitates it for tests: brokers in this process, which keep what they are sent in memory."""

    name = "kafka"
    nowhere = "127.0.0.1:1"
    nobodys_topic = "no/such topic"
    settles = 0.0

    def __init__(self) -> None:
        self.server = MockCluster()

    def channel(self, *servers: str) -> KafkaChannel:
        return KafkaChannel(*(servers or (self.server.url,)), settings={"session.timeout.ms": 6_000})

    def topic(self, place: str) -> str:
        return place

    async def make(self, place: str) -> None:
        """Make a place that keeps messages: the first who asks for a topic makes it."""
        await asyncio.to_thread(self.server.cluster.list_topics, place, 10)

    async def drop(self, place: str) -> None:
        """Nothing: it goes with the cluster."""

    async def kept(self, place: str) -> list[Kept]:
        """Every message of a place, in the order of each partition."""
        return await asyncio.to_thread(self._kept, place)

    def _kept(self, place: str) -> list[Kept]:
        settings = {"bootstrap.servers": self.server.url, "group.id": "look", "enable.partition.eof": True}
        consumer, found = Consumer(settings), []
        partitions = consumer.list_topics(place, 10).topics[place].partitions
        consumer.assign([TopicPartition(place, number, OFFSET_BEGINNING) for number in partitions])
        ended = 0
        while ended < len(partitions):
            message = consumer.poll(SETTLED_SECONDS)
            assert message is not None
            if message.error() is not None:
                ended += 1
                continue
            headers = {name: value.decode() for name, value in message.headers()}
            key = (message.key() or b"").decode()
            found.append(Kept(headers.pop("Tieout-Id"), message.topic(), key, headers, message.value()))
        consumer.close()
        return found


class MockCluster:
    """Three brokers that librdkafka imitates; they end with the client that has made them."""

    def start(self) -> None:
        self.cluster = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 3})
        brokers = self.cluster.list_topics(timeout=30).brokers.values()
        self.url = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def remove(self) -> None:
        del self.cluster
