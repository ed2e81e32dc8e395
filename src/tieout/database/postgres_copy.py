"""A query's result as the text of PostgreSQL's COPY: the cheapest way that there is for many rows to leave a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

PIECE = 1 << 20
"""Bytes that a piece has at least, but for the last one: enough for whoever parses them to be quick."""

AHEAD = 4
"""Pieces that are taken from the server before they are asked for."""


async def pieces(connection: Any, text: str, args: tuple[Any, ...]) -> AsyncGenerator[bytes, None]:
    """The rows in COPY's text format, in pieces that each end with a row. Whoever stops early loses the connection."""
    taken: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
    begun = bytearray()

    async def take(data: bytes) -> None:
        begun.extend(data)
        if len(begun) >= PIECE and (end := begun.rfind(b"\n") + 1):
            piece = bytes(begun[:end])
            del begun[:end]
            await taken.put(piece)

    async def copy() -> None:
        try:
            await connection.copy_from_query(text, *args, output=take, format="text")
            if begun:
                await taken.put(bytes(begun))
        finally:
            await taken.put(None)

    copying = asyncio.create_task(copy())
    try:
        while (piece := await taken.get()) is not None:
            yield piece
        await copying
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
