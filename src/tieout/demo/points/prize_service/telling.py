"""Ways to tell what became of a prize: a signed call back, and a message through a broker."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from typing import Any, Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout

PATIENCE_SECONDS = 3.0


class Way(Protocol):
    """One way to tell."""

    async def tell(self, number: str, told: dict[str, Any]) -> bool:
        """Tell it under this number, the same for each repetition; whether it was taken."""
        ...

    async def close(self) -> None: ...


class Callbacks:
    """POSTs to `{url}/{call key}`, signed as Standard Webhooks describe it."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._http: ClientSession | None = None

    async def tell(self, number: str, told: dict[str, Any]) -> bool:
        body = json.dumps(told).encode()
        http = self._http = self._http or ClientSession(timeout=ClientTimeout(total=PATIENCE_SECONDS))
        try:
            url = f"{self._url}/{told['call_key']}"
            async with http.post(url, data=body, headers=signed(self._key, number, body)) as answer:
                return answer.status // 100 == 2
        except (ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


def signed(key: bytes, number: str, body: bytes) -> dict[str, str]:
    """The header fields of a signed message."""
    at = str(int(time.time()))
    mark = base64.b64encode(hmac.digest(key, f"{number}.{at}.".encode() + body, "sha256")).decode()
    signature = {"webhook-id": number, "webhook-timestamp": at, "webhook-signature": f"v1,{mark}"}
    return signature | {"content-type": "application/json"}


class Messages:
    """Puts messages into a queue of RabbitMQ's that somebody else has made; taken is what the broker has confirmed."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self._connection: Any = None
        self._exchange: Any = None
        self._connecting = asyncio.Lock()

    async def tell(self, number: str, told: dict[str, Any]) -> bool:
        import aio_pika

        sent = aio_pika.Message(
            json.dumps(told).encode(),
            message_id=number,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                exchange = await self._connected()
                await exchange.publish(sent, self._queue, mandatory=True)
        except aio_pika.exceptions.ChannelInvalidStateError:  # the broker has gone, and the connection does not say so
            self._exchange = None
            return False
        except (aio_pika.exceptions.AMQPError, OSError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> Any:
        import aio_pika

        async with self._connecting:
            if self._exchange is None or self._connection is None or self._connection.is_closed:
                await self.close()
                self._connection = await aio_pika.connect(self._url, timeout=PATIENCE_SECONDS)
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = channel.default_exchange
            return self._exchange
