"""NATS JetStream: a topic is a subject, and a message is there when a stream has stored it. Needs the extra `nats`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from tieout.contracts import Delivery, Message
from tieout.identity import fingerprint

CONNECT_SECONDS = 3
"""Longest that a server may take to let us in."""

CLOSE_SECONDS = 1.0
"""Longest that closing may take: the client may wait for ever for a server that was killed."""

CONFIRM_SECONDS = 5.0
"""Longest that a stream may take to confirm a message; then it is sent again."""

RECEIVE_SECONDS = 5.0
"""How long one request for messages waits for the first of them."""

UNACKNOWLEDGED = 1_000
"""Messages that are handed out before the first of them is acknowledged, to all nodes together."""

_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


class NatsChannel:
    """Publishes to the streams that there are; it makes none. Repetitions are known to the stream by `Nats-Msg-Id`.

    servers     addresses such as `nats://127.0.0.1:4222`, with user and password or token where they are needed

    group       the name under which the nodes of one service consume together: each message goes to one of them
    ack_wait    seconds after which a message that was not acknowledged is delivered again

    A message carries its key in the header `Tieout-Key`, percent-encoded. A topic that no stream listens to, or that is
    no subject, and a body that is too long for the server, are refused, and sent again later.
    """

    def __init__(self, *servers: str, group: str = "tieout", ack_wait: float = 30.0) -> None:
        self.servers = servers
        self.group = group
        self.ack_wait = ack_wait
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def open(self) -> None:
        """Connect, when the server can be reached; else the first message does."""
        try:
            await self._connected()
        except (OSError, nats.errors.Error):
            return

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await _closed(client)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send messages at a time, and wait until a stream has confirmed each; as `Channel.publish`."""
        stream = (await self._connected()).jetstream(timeout=CONFIRM_SECONDS)
        verdicts = await asyncio.gather(*(_publish(stream, message) for message in messages), return_exceptions=True)
        for verdict in verdicts:
            if isinstance(verdict, BaseException):
                raise verdict
        return [verdict for verdict in verdicts if not isinstance(verdict, BaseException)]

    async def subscribe(self, topic: str) -> NatsSubscription:
        """Consume a subject, which may have wildcards, of a stream that there is, as a durable consumer of it."""
        client = await self._connect()
        try:
            config = ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT, ack_wait=self.ack_wait, max_ack_pending=UNACKNOWLEDGED
            )
            durable = f"{self.group}-{fingerprint(topic).hex()[:12]}"
            pulled = await client.jetstream().pull_subscribe(topic, durable, config=config)
        except BaseException:
            await _closed(client)
            raise
        return NatsSubscription(client, pulled)

    async def _connect(self) -> Client:
        connecting = nats.connect(
            list(self.servers), allow_reconnect=False, connect_timeout=CONNECT_SECONDS, error_cb=_ignore
        )
        return await asyncio.wait_for(connecting, CONNECT_SECONDS)

    async def _connected(self) -> Client:
        """The connection, made anew when it was lost: what was under way on the old one is not confirmed."""
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self.close()
                self._client = await self._connect()
            return self._client


class NatsSubscription:
    """What a durable consumer hands out, over a connection of its own."""

    def __init__(self, client: Client, pulled: JetStreamContext.PullSubscription) -> None:
        self._client = client
        self._pulled = pulled

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Wait until something has come; as `Subscription.receive`."""
        while True:
            if not self._client.is_connected:
                raise ConnectionError("the connection to NATS is lost")
            with suppress(nats.errors.TimeoutError):
                return [_delivery(message) for message in await self._pulled.fetch(limit, RECEIVE_SECONDS)]
            await self._check()

    async def _check(self) -> None:
        """Raise `ConnectionError` when the consumer was deleted, perhaps with its stream: nobody else tells of that."""
        with suppress(nats.errors.TimeoutError):
            try:
                await self._pulled.consumer_info()
            except NotFoundError as error:
                raise ConnectionError(f"the consumer is gone: {error.description}") from error

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done."""
        for delivery in deliveries:
            await delivery.receipt.ack()

    async def close(self) -> None:
        """Close the connection; others are given what was not acknowledged after `ack_wait`."""
        await _closed(self._client)


def _delivery(message: Msg) -> Delivery:
    headers: dict[str, Any] = dict(message.headers or {})
    key, number = unquote(headers.pop("Tieout-Key", ""), errors="replace"), headers.pop("Nats-Msg-Id", "")
    place = message.metadata
    number = number or f"{place.stream}:{place.sequence.stream}"
    return Delivery(number, message.subject, key, headers, message.data, message)


async def _closed(client: Client) -> None:
    if not client.is_closed:
        with suppress(TimeoutError, nats.errors.Error, OSError):
            await asyncio.wait_for(client.close(), CLOSE_SECONDS)


async def _publish(stream: JetStreamContext, message: Message) -> str | None:
    if not _SUBJECT.fullmatch(message.topic):
        return f"{message.topic!r} is no subject that one can publish to"
    headers = {**message.headers, "Nats-Msg-Id": message.id, "Tieout-Key": quote(message.key, safe="")}
    try:
        await stream.publish(message.topic, message.body, headers=headers)
    except NoStreamResponseError:
        return f"no stream listens to {message.topic}"
    except (APIError, MaxPayloadError) as error:
        return f"{type(error).__name__}: {error}"
    return None


async def _ignore(error: Exception) -> None:
    """What fails is told by the call that failed."""
