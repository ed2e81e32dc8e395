"""NATS JetStream: a topic is a subject, and a message is there when a stream has stored it. Needs the extra `nats`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

import nats
from nats.aio.client import Client
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError

from tieout.contracts import Message

CONNECT_SECONDS = 3
"""Longest that a server may take to let us in."""

CLOSE_SECONDS = 1.0
"""Longest that closing may take: the client may wait for ever for a server that was killed."""

CONFIRM_SECONDS = 5.0
"""Longest that a stream may take to confirm a message; then it is sent again."""

_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


class NatsChannel:
    """Publishes to the streams that there are; it makes none. Repetitions are known to the stream by `Nats-Msg-Id`.

    servers     addresses such as `nats://127.0.0.1:4222`, with user and password or token where they are needed

    A message carries its key in the header `Tieout-Key`, percent-encoded. A topic that no stream listens to, or that is
    no subject, and a body that is too long for the server, are refused, and sent again later.
    """

    def __init__(self, *servers: str) -> None:
        self.servers = servers
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
        if client is not None and not client.is_closed:
            with suppress(TimeoutError, nats.errors.Error, OSError):
                await asyncio.wait_for(client.close(), CLOSE_SECONDS)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send messages at a time, and wait until a stream has confirmed each; as `Channel.publish`."""
        stream = (await self._connected()).jetstream(timeout=CONFIRM_SECONDS)
        verdicts = await asyncio.gather(*(_publish(stream, message) for message in messages), return_exceptions=True)
        for verdict in verdicts:
            if isinstance(verdict, BaseException):
                raise verdict
        return [verdict for verdict in verdicts if not isinstance(verdict, BaseException)]

    async def _connected(self) -> Client:
        """The connection, made anew when it was lost: what was under way on the old one is not confirmed."""
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self.close()
                connecting = nats.connect(
                    list(self.servers), allow_reconnect=False, connect_timeout=CONNECT_SECONDS, error_cb=_ignore
                )
                self._client = await asyncio.wait_for(connecting, CONNECT_SECONDS)
            return self._client


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
