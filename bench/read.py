"""Searching in memory while everything is written, and reading items over HTTP beside Redis behind the same route.

`python -m bench.read [--hotels N] [--suppliers N] [--searches N] [--rate N] [--seconds N] [--rounds N]`, on a private
PostgreSQL and Redis. Hotels have 10 rooms and 60 days.

*search*: the 20 cheapest open stays of 3 and of 14 nights below a price that leaves 0.1, 10 and 90 % of all rooms, in a
view that follows the copy, while another process stores all hotels anew, `rate` a second, with 2 % of their prices
changed. The collector of garbage leaves alone what was loaded, as in `tieout serve`. Searches are due at a rate,
whatever is going on, and their time counts from when they were due. Nothing is
kept of a search for the next one.

*item*: one stay of 3 nights over HTTP, with 32 in flight, from `tieout serve`; *ratio_redis* is ours to the same server
with the same route that reads a hash for each room from Redis. One line for each case.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotThere

from bench.http import new_token, wait_until_it_listens
from bench.mirrors import NAME, Writer, mirror
from bench.pacing import drive
from bench.read_site import fields
from bench.rooms import ROOMS, Rooms, room
from bench.sync import batches
from bench.turns import HERE, tell
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tieout.mirror import View

STAYS = (3, 14)
SHARES = (0.001, 0.1, 0.9)
SEARCHES_A_SECOND = 40.0
FIRST = 5
"""Days until the stays begin."""

IN_FLIGHT = 32
HTTP_HOTELS = 300
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}


async def searched(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of all searches."""
    app, made = mirror(url, options.hotels, options.suppliers)
    with writing(url, options) as writer:
        tell(f"{options.hotels * ROOMS} rooms are stored: {await asyncio.to_thread(writer.stdout.readline)}".strip())
        async with app:
            begun = time.perf_counter()
            view = await made.view()
            tell(f"the view was loaded in {time.perf_counter() - begun:.1f} s")
            gc.collect()
            gc.freeze()
            return [await _case(view, nights, share, options.searches) for nights in STAYS for share in SHARES]


async def _case(view: View, nights: int, share: float, searches: int) -> dict[str, Any]:
    first = datetime.now(UTC).date() + timedelta(days=FIRST)
    most = price_of(view, first, nights, share)
    where = {"open": True, "price": (None, most)}
    lags: list[float] = []

    async def search(_: int) -> None:
        result = view.search(first, nights, where=where, sort="price", limit=20)
        lags.append(result.lag)

    took = await drive(search, searches, 1, rate=SEARCHES_A_SECOND)
    total = view.search(first, nights, where=where).total
    told = {"p50_ms": round(took["p50"], 2), "p99_ms": round(took["p99"], 2), "items": len(view), "found": total}
    tell(f"{nights} nights, {share:.1%}: {told}, at most {max(lags):.2f} s behind")
    return {"bench": "read", "case": f"search-{nights}-{share:g}", **told, "lag_s": round(max(lags), 2)}


def price_of(view: View, first: date, nights: int, share: float) -> int:
    """The price below which this share of all rooms is open throughout a stay, or all that are."""
    low, high = 0, 1_000 * nights
    while low < high:
        middle = (low + high) // 2
        found = view.search(first, nights, where={"open": True, "price": (None, middle)}, limit=1).total
        low, high = (low, middle) if found >= share * len(view) else (middle + 1, high)
    return low


@contextmanager
def writing(url: str, options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """The process that writes."""
    said = [url, options.hotels, options.suppliers, options.rate]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.read_writer", *map(str, said)], cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def stored(url: str, rooms: Rooms) -> str:
    """Store the hotels that are read over HTTP; a token of somebody who may."""
    app, made = mirror(url, rooms.hotels)
    async with app:
        writer = await Writer.begin(made)
        for some in batches(rooms.hotels):
            await writer.publish([(hotel, rooms.items(hotel)) for hotel in some], rooms.today)
    return await new_token(url)


async def stored_in_redis(port: int, rooms: Rooms) -> None:
    """The same in a hash for each room."""
    async with Redis(port=port) as client:
        while True:
            try:
                await client.ping()
                break
            except NotThere:
                await asyncio.sleep(0.05)
        for hotel in range(rooms.hotels):
            pipe = client.pipeline(transaction=False)
            for item, cells in rooms.items(hotel).items():
                pipe.hset(item, mapping=fields(rooms.today, cells["price"], cells["stock"], cells["open"]))
            await pipe.execute()


@contextmanager
def redis() -> Iterator[int]:
    """A Redis of our own that keeps nothing on disk; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            server.terminate()
            server.wait()


@contextmanager
def serving(**settings: str) -> Iterator[int]:
    """`tieout serve` of the mirror; its port."""
    port, limits = free_port(), {"TIEOUT_RATE": "1e9", "TIEOUT_BURST": "1e9"}
    command = [Path(sys.executable).parent / "tieout", "serve", "bench.read_site:app", "--run", "api"]
    command += ["--port", port, "--log-level", "warning"]
    process = subprocess.Popen(list(map(str, command)), env=os.environ | limits | settings, cwd=HERE.parent)
    try:
        wait_until_it_listens(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


class Line:
    """One connection that is kept alive."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    async def open(self) -> Line:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of an answer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        content = await self._reader.readexactly(int(length.partition(b":")[2]))
        if answer[9:12] != b"200":
            raise SystemExit(f"{path}: {answer!r} {content!r}")
        return content


async def read_items(port: int, token: str, rooms: Rooms, seconds: float) -> dict[str, float]:
    """Stays read over HTTP, as fast as they are answered: of rooms drawn by chance."""
    lines = [await Line(port, token).open() for _ in range(IN_FLIGHT)]
    chance, free = Random(7), list(lines)
    first = rooms.today + timedelta(days=FIRST)
    await lines[0].ask(
        "POST", f"/v1/mirrors/{NAME}/search", b'{"first":"%s","nights":1,"limit":1}' % str(first).encode()
    )

    async def read(_: int) -> None:
        line = free.pop()
        item = room(chance.randrange(rooms.hotels), chance.randrange(ROOMS))
        path = f"/v1/mirrors/{NAME}/suppliers/s0/items/{item}/stay?first={first}&nights=3&refresh=false"
        await line.ask("GET", path)
        free.append(line)

    warm = await drive(read, 1_000, IN_FLIGHT)
    return await drive(read, round(warm["rate"] * seconds), IN_FLIGHT)


def items_over_http(server: Postgres, options: argparse.Namespace) -> dict[str, Any]:
    """The line of reads over HTTP."""
    rooms, url = Rooms(HTTP_HOTELS), server.url(server.database(), pool=IN_FLIGHT)
    token = asyncio.run(stored(url, rooms))
    found: dict[str, list[dict[str, float]]] = {"ours": [], "redis": []}
    with redis() as redis_port:
        asyncio.run(stored_in_redis(redis_port, rooms))
        for number in range(options.rounds):
            for side in ("ours", "redis") if number % 2 == 0 else ("redis", "ours"):
                settings = {"BENCH_DB": url, "BENCH_HOTELS": str(HTTP_HOTELS)}
                settings |= {"BENCH_REDIS": str(redis_port)} if side == "redis" else {}
                with serving(**settings) as port:
                    found[side].append(asyncio.run(read_items(port, token, rooms, options.seconds)))
                tell(f"round {number + 1} {side:6} {found[side][-1]}")
    rates = {side: statistics.median(one["rate"] for one in rounds) for side, rounds in found.items()}
    times = {f"{at}_ms": round(statistics.median(one[at] for one in found["ours"]), 2) for at in ("p50", "p99")}
    told = {side: round(rate) for side, rate in rates.items()}
    return {
        "bench": "read",
        "case": "item-http",
        **times,
        **told,
        "ratio_redis": round(rates["ours"] / rates["redis"], 2),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, read, and print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hotels", type=int, default=30_000)
    parser.add_argument("--suppliers", type=int, default=200)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--rate", type=float, default=500, help="hotels stored a second during searches")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    server = Postgres(**SETTINGS)
    server.create()
    try:
        lines = asyncio.run(searched(server.url(server.database()), options)) if options.searches else []
        lines += [items_over_http(server, options)] if options.rounds else []
    finally:
        server.remove()
    for line in lines:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
