"""The agency asks a supplier once for each token, whatever becomes of the connection."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientConnectionError, ClientSession

from tieout.demo.hotels.agency import Hotels

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n" + b'{"hotels":{},"more":false} '


async def test_a_broken_connection_is_not_asked_again():
    """A supplier that hangs up has counted the query: what the HTTP client sends again by itself has no token."""
    asked = []

    async def serve(reader, writer):
        while line := await reader.readline():
            if line.startswith(b"GET"):
                asked.append(line)
            if line == b"\r\n":
                if len(asked) > 1:
                    break
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, ClientSession() as http:
        hotels = Hotels(http, f"http://127.0.0.1:{port}", "plan")
        assert [page async for page in hotels.catalogue()] == [[]]
        with pytest.raises(ClientConnectionError):
            await anext(hotels.catalogue())
    assert len(asked) == 2
