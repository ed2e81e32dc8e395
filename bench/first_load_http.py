"""The HTTP client of `bench.first_load`: as much of HTTP/1.1 as its suppliers speak, on connections that are kept.

A general client, such as aiohttp, spends more on a query of some two kilobytes than all else that follows it.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_OK = b"HTTP/1.1 200 "


class HttpError(Exception):
    """An answer that is not 200, or none at all."""


class Http:
    """Asks one server, on as many connections as there are questions at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Line] = []

    async def get(self, path: str) -> bytes:
        """The body of what is answered to a GET; raise `HttpError`."""
        line = self._free.pop() if self._free else await self._new_line()
        body = await line.ask(path)
        self._free.append(line)
        return body

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._free:
            self._free.pop().transport.close()

    async def _new_line(self) -> Line:
        loop = asyncio.get_running_loop()
        try:
            _, line = await loop.create_connection(Line, "127.0.0.1", self._port)
        except OSError as error:
            raise HttpError(str(error)) from error
        return line


class Line(asyncio.Protocol):
    """One connection: one question at a time. Who gives up on an answer has closed it."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._got = bytearray()
        self._begin = self._end = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(HttpError(f"the connection is lost: {error}"))

    async def ask(self, path: str) -> bytes:
        """The body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        try:
            return await self._answer
        except BaseException:
            self.transport.close()
            raise

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._end and not self._read_head():
            return
        if len(self._got) >= self._end and self._answer is not None:
            body = bytes(self._got[self._begin : self._end])
            del self._got[: self._end]
            self._begin = self._end = 0
            if not self._answer.done():
                self._answer.set_result(body)

    def _read_head(self) -> bool:
        at = self._got.find(b"\r\n\r\n")
        if at < 0:
            return False
        length = _LENGTH.search(self._got, 0, at + 2)
        if not self._got.startswith(_OK) or length is None:
            self._fail(HttpError(bytes(self._got[:at]).decode("latin-1")))
            return False
        self._begin, self._end = at + 4, at + 4 + int(length[1])
        return True

    def _fail(self, error: HttpError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
