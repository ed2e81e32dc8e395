"""As much of HTTP/1.1 as this service needs: small requests on connections that are kept, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

MOST_BYTES = 1 << 20
"""Longest request: a plan of faults for many suppliers fits."""

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}


class Request(NamedTuple):
    """What was asked."""

    path: list[str]
    query: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """What is answered, after so many seconds; status 0 hangs up instead."""

    status: int
    body: bytes = b"{}"
    delay: float = 0.0
    retry_after: int | None = None

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        more = "" if self.retry_after is None else f"Retry-After: {self.retry_after}\r\n"
        head = f"HTTP/1.1 {self.status} {REASONS[self.status]}\r\nContent-Type: application/json\r\n{more}"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


Handler = Callable[[Request], Reply]


class Connection(asyncio.Protocol):
    """One connection of a client, which waits for each answer before it asks again."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._bytes = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        head, found, rest = self._bytes.partition(b"\r\n\r\n")
        if len(self._bytes) > MOST_BYTES:
            self._transport.abort()
        if not found:
            return
        length = body_length(head)
        if len(rest) < length:
            return
        self._bytes = rest[length:]
        self._answer(head, rest[:length])

    def _answer(self, head: bytes, body: bytes) -> None:
        target = head.split(b" ", 2)[1].decode()
        path, _, query = target.partition("?")
        reply = self._handle(Request(path.strip("/").split("/"), dict(parse_qsl(query)), body))
        if reply.status == 0:
            self._transport.abort()
        elif reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply.encode())


def body_length(head: bytes) -> int:
    """How many bytes follow the head of a request."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(handle: Handler, port: int, work: Callable[[], Awaitable[None]]) -> None:
    """Serve while `work` goes on."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(handle), "127.0.0.1", port, reuse_address=True, backlog=1_024
    )
    async with server:
        await work()
