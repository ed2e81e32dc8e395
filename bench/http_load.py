"""Load on one server: `python -m bench.http_load PORT TOKEN SECONDS CONNECTIONS [RATE]`. Prints one JSON line.

Without a rate each connection sends as fast as it is answered, which shows the highest rate. With one, requests are
sent when they are due, whatever the server does (an open loop), and their time counts from when they were due.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress

USERS = 1_000


class Line:
    """One connection that is kept alive."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    async def open(self) -> Line:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def redeem(self, number: int) -> int:
        """One redemption; the status of its answer."""
        status, _ = await self.redeemed(number)
        return status

    async def redeemed(self, number: int) -> tuple[int, bytes]:
        """One redemption; status and body of its answer."""
        body = b'{"user":"user%d","sku":"mug","quantity":2}' % (number % USERS)
        key = os.urandom(12).hex()
        head = (
            f"POST /v1/types/redeem/processes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        told = await self.reader.readexactly(int(length.partition(b":")[2]))
        return int(answer[9:12]), told


async def saturate(lines: list[Line], seconds: float) -> dict[str, float]:
    """As many as are answered."""
    ends = time.perf_counter() + seconds
    times: list[float] = []

    async def client(line: Line, number: int) -> None:
        while (began := time.perf_counter()) < ends:
            number += 1
            if await line.redeem(number) != 201:
                raise SystemExit("a redemption was refused")
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(client(line, 97 * number) for number, line in enumerate(lines)))
    return told(times, seconds)


async def open_loop(lines: list[Line], seconds: float, rate: float) -> dict[str, float]:
    """At this rate, whatever happens."""
    free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
    for line in lines:
        free.put_nowait(line)
    times: list[float] = []
    began = time.perf_counter()

    async def one(number: int, due: float) -> None:
        line = await free.get()
        if await line.redeem(number) != 201:
            raise SystemExit("a redemption was refused")
        free.put_nowait(line)
        times.append(time.perf_counter() - due)

    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return told(times, time.perf_counter() - began)


def told(times: list[float], seconds: float) -> dict[str, float]:
    """Rate, and the median and 99th percentile in milliseconds."""
    times.sort()
    return {
        "rate": len(times) / seconds,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[len(times) * 99 // 100],
    }


async def main() -> None:
    """Open the lines, load, print."""
    _, port, token, seconds, connections, *rate = sys.argv
    lines = [await Line(int(port), token).open() for _ in range(int(connections))]
    loaded = open_loop(lines, float(seconds), float(rate[0])) if rate else saturate(lines, float(seconds))
    print(json.dumps(await loaded))
    for line in lines:
        line.writer.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
