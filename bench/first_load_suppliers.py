"""The suppliers of `bench.first_load`, in a process of their own: `python -m bench.first_load_suppliers PORT HOTELS`.

As much of HTTP/1.1 as that needs, on connections that are kept: `/SUPPLIER/hotels?page=N` lists `HOTELS` hotels, and
`/SUPPLIER/HOTEL?first=DAY&days=N` says what each room costs on each day, in a body that is made for each request.
`/figures` tells how many queries there were, and the seconds of computing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop

from bench.rooms import ROOMS

PAGE = 50
"""Hotels of one page of a catalogue."""


class Suppliers(asyncio.Protocol):
    """One connection of a client, which waits for each answer before it asks again."""

    queries = 0

    def __init__(self, hotels: int) -> None:
        self._hotels = hotels
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        path, _, query = data.split(b" ", 2)[1].decode().partition("?")
        said = dict(part.split("=") for part in query.split("&")) if query else {}
        match path.strip("/").split("/"):
            case ["figures"]:
                body = {"queries": Suppliers.queries, "cpu": time.process_time()}
            case [supplier, "hotels"]:
                body = self._catalogue(supplier, int(said["page"]))
            case [_, hotel]:
                Suppliers.queries += 1
                body = {"rooms": rooms(hotel, said["first"], int(said["days"])), "complete": True}
        text = msgspec.json.encode(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        self._transport.write(head.encode() + text)

    def _catalogue(self, supplier: str, page: int) -> dict[str, object]:
        some = range(page * PAGE, min((page + 1) * PAGE, self._hotels))
        hotels = {f"{supplier}h{n}": [f"{supplier}h{n}-r{number}" for number in range(ROOMS)] for n in some}
        return {"hotels": hotels, "more": (page + 1) * PAGE < self._hotels}


def rooms(hotel: str, first: str, days: int) -> dict[str, object]:
    """What the rooms of a hotel cost: something that depends on each, and is the same whenever it is asked."""
    begin = hash((hotel, first)) & 0xFFFF
    stock, is_open = [(begin + day) % 7 for day in range(days)], [True] * days
    return {
        f"{hotel}-r{number}": {
            "price": [6_000 + at % 64_000 for at in range(begin, begin + 211 * days, 211)],
            "stock": stock,
            "open": is_open,
        }
        for number, begin in enumerate(range(begin, begin + 977 * ROOMS, 977))
    }


async def serve(port: int, hotels: int) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Suppliers(hotels), "127.0.0.1", port, backlog=4_096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
