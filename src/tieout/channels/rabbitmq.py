"""RabbitMQ: a topic is a routing key, and a message is there when its queues have confirmed it. Extra `rabbitmq`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.connection import make_url
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError

from tieout.contracts import Delivery, Message

CONNECT_SECONDS = 3.0
"""Longest that a server may take to let us in."""

CLOSE_SECONDS = 1.0
"""Longest that closing may take."""

CONFIRM_SECONDS = 5.0
"""Longest that the queues may take to confirm a message; then it is sent again."""

LOOK_SECONDS = 5.0
"""How long nothing may have come until it is looked whether the queue still sends it here."""

UNACKNOWLEDGED = 400
"""Messages that a server hands out before the first of them is acknowledged: two batches."""

ROUTING_KEY_BYTES = 255
"""Longest routing key of the protocol."""

FAILURES = (OSError, TimeoutError, asyncio.TimeoutError, aio_pika.exceptions.AMQPError)
"""What the client raises when a server does not answer as it should."""


class RabbitMQChannel:
    """Publishes persistent messages, each confirmed by every queue that it is routed to.

    urls        servers of one cluster, such as `amqp://user:password@broker-1/vhost`; the first that answers is used
    exchange    where to publish, one that there is; by default a topic is the name of a queue

    A message carries its id and time as properties, and its key, percent-encoded, in the header `Tieout-Key`. One that
    no queue is bound for, or that a queue refuses, is refused, and sent again later. Use quorum queues: a classic one
    confirms what is lost with its node.
    """

    def __init__(self, *urls: str, exchange: str = "") -> None:
        self.urls = urls
        self.exchange = exchange
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._connecting = asyncio.Lock()

    async def open(self) -> None:
        """Connect, when a server can be reached; else the first message does."""
        with suppress(*FAILURES):
            await self._connected()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await _closed(connection)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send messages at a time, and wait until each is confirmed; as `Channel.publish`."""
        exchange = await self._connected()
        verdicts = await asyncio.gather(*(_publish(exchange, message) for message in messages), return_exceptions=True)
        for verdict in verdicts:
            if isinstance(verdict, BaseException):
                await self.close()  # what is under way on this connection is not told any more: the next is a new one
                raise verdict
        return [verdict for verdict in verdicts if not isinstance(verdict, BaseException)]

    async def subscribe(self, topic: str) -> RabbitMQSubscription:
        """Consume the queue `topic`, together with whoever else does; one that is not there is made, a quorum queue."""
        connection = await connect(self.urls)
        try:
            subscription = RabbitMQSubscription(connection)
            await subscription.begin(topic)
        except BaseException:
            await _closed(connection)
            raise
        return subscription

    async def _connected(self) -> AbstractExchange:
        """The exchange, over a new connection when the last one was lost."""
        async with self._connecting:
            if self._exchange is None or self._connection is None or self._connection.is_closed:
                await self.close()
                self._connection = await connect(self.urls)
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = await channel.get_exchange(self.exchange, ensure=False)
            return self._exchange


class RabbitMQSubscription:
    """What a queue hands out, over a connection of its own."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._came: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._channel: AbstractChannel | None = None
        self._tag = ""

    async def begin(self, name: str) -> None:
        """Have the queue's messages sent here."""
        queue = await _queue(self._connection, name)
        queue.channel.close_callbacks.add(self._lost)
        self._channel, self._tag = queue.channel, await queue.consume(self._came.put)

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Wait until something has come; as `Subscription.receive`."""
        came = [await self._first()]
        while len(came) < limit and not self._came.empty():
            came.append(self._came.get_nowait())
        if any(one is None for one in came):
            raise ConnectionError("the connection to RabbitMQ is lost")
        return [_delivery(one) for one in came if one is not None]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done: their tags are the lowest that are open, so that the highest stands for all."""
        last: AbstractIncomingMessage = deliveries[-1].receipt
        await last.ack(multiple=True)

    async def close(self) -> None:
        """Close the connection."""
        await _closed(self._connection)

    async def _first(self) -> AbstractIncomingMessage | None:
        """What comes next; raise `ConnectionError` when the server has ended this consumer and left its channel open.

        It does so when the queue is deleted, or when the node that kept it goes: to consume again makes it anew.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._came.get()
            if not await self._is_consuming():
                raise ConnectionError("RabbitMQ has ended this consumer: its queue is gone")

    async def _is_consuming(self) -> bool:
        channel: Any = None if self._channel is None else await self._channel.get_underlay_channel()
        return channel is not None and self._tag in channel.consumers

    def _lost(self, *_: Any) -> None:
        self._came.put_nowait(None)


async def _queue(connection: AbstractConnection, name: str) -> AbstractQueue:
    channel = await _channel(connection)
    try:
        return await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:  # which has closed the channel
        channel = await _channel(connection)
        return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


async def _channel(connection: AbstractConnection) -> AbstractChannel:
    channel = await connection.channel(publisher_confirms=False)
    await channel.set_qos(prefetch_count=UNACKNOWLEDGED)
    return channel


def _delivery(came: AbstractIncomingMessage) -> Delivery:
    headers = {name: str(value) for name, value in came.headers.items()}
    if came.content_type:
        headers.setdefault("content-type", came.content_type)
    key = unquote(headers.pop("Tieout-Key", ""), errors="replace")
    return Delivery(came.message_id or "", came.routing_key or "", key, headers, came.body, came)


async def _closed(connection: AbstractConnection) -> None:
    """Close it, whatever becomes of its socket: else the client tries to, in whichever thread collects it."""
    with suppress(*FAILURES):
        await asyncio.wait_for(connection.close(), CLOSE_SECONDS)
    if not connection.is_closed:
        await connection.close()


async def connect(urls: Sequence[str]) -> AbstractConnection:
    """A connection to the first server that lets us in; raise what the last one of them raised."""
    failure: BaseException = ConnectionError("no server is named")
    for url in urls:
        connection = aio_pika.Connection(make_url(url))
        try:
            await asyncio.wait_for(connection.connect(), CONNECT_SECONDS)
        except FAILURES as error:
            await _closed(connection)
            failure = error
        except BaseException:
            await _closed(connection)
            raise
        else:
            return connection
    raise failure


async def _publish(exchange: AbstractExchange, message: Message) -> str | None:
    if len(message.topic.encode()) > ROUTING_KEY_BYTES:
        return f"a routing key has at most {ROUTING_KEY_BYTES} bytes"
    sent = aio_pika.Message(
        message.body,
        headers={**message.headers, "Tieout-Key": quote(message.key, safe="")},
        content_type=message.headers.get("content-type"),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.id,
        timestamp=datetime.fromtimestamp(message.created // 1_000_000, UTC),
    )
    try:
        await exchange.publish(sent, message.topic, mandatory=True, timeout=CONFIRM_SECONDS)
    except PublishError:
        return f"no queue is bound for {message.topic}"
    except DeliveryError:
        return f"a queue for {message.topic} refused it"
    return None
