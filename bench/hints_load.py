"""Listeners of one server's hints: `python -m bench.hints_load PORT TOKEN SECONDS LISTENERS RATE`. One JSON line.

RATE is of deliveries in all. Redemptions are sent in an open loop, as many as make so many hints: each makes two, one
of its start and one of its end, and every listener hears both. A delay is from when a redemption was due until a
listener has the hint of its end. What came in a second is told from the first end that was heard to the last: whoever
hears everything a little later hears as much. `drift_ms` tells whether it is ever later: it is by how much the median
delay of the last quarter is longer than that of the first.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from contextlib import suppress
from functools import partial

from bench.http_load import Line

HINTS = 2
"""Of one redemption."""

LINES = 16
"""Connections that redemptions are sent on."""

PATIENCE = 10.0
"""Seconds within which the last hints have to come."""

HINT = re.compile(rb'"id":"([0-9a-f]{32})","state":"([a-z]+)"')


class Listener(asyncio.Protocol):
    """One stream, and when the end of each process was heard on it."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.hints = 0
        self.dropped = False
        self.stands = asyncio.Event()
        self.ends: list[tuple[bytes, float]] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        head = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        """Note what has come."""
        now, data = time.perf_counter(), self._rest + data
        after = 0
        for match in HINT.finditer(data):
            self.hints += 1
            after = match.end()
            if match[2] == b"completed":
                self.ends.append((match[1], now))
        self._rest = data[max(after, len(data) - 200) :]
        self.dropped = self.dropped or b"event: dropped" in data
        if b"retry:" in data:
            self.stands.set()


async def main() -> None:
    """Listen, redeem, and tell how long it took until everybody had heard."""
    _, port, token, seconds, listeners, rate = sys.argv
    heard = [Listener(token) for _ in range(int(listeners))]
    loop = asyncio.get_running_loop()
    for one in heard:
        await loop.create_connection(partial(_itself, one), "127.0.0.1", int(port))
    await asyncio.gather(*(one.stands.wait() for one in heard))
    due = await redeem(int(port), token, float(seconds), float(rate) / (HINTS * int(listeners)))
    wanted = HINTS * len(due)
    ends = time.perf_counter() + PATIENCE
    while any(one.hints < wanted for one in heard) and time.perf_counter() < ends:  # noqa: ASYNC110 - what is measured tells nobody
        await asyncio.sleep(0.01)
    dropped = sum(one.dropped for one in heard)
    missing = wanted * len(heard) - sum(one.hints for one in heard)
    print(json.dumps({"missing": missing, "dropped": dropped, **times(heard, due)}))


def times(heard: list[Listener], due: dict[bytes, float]) -> dict[str, float]:
    """How many came in a second, and how late they were."""
    ends = sorted((at, at - due[number]) for one in heard for number, at in one.ends)
    delays = sorted(delay for _, delay in ends)
    quarter = len(ends) // 4
    first, last = ends[:quarter], ends[-quarter:]
    drift = statistics.median(delay for _, delay in last) - statistics.median(delay for _, delay in first)
    return {
        "rate": HINTS * (len(ends) - len(heard)) / (ends[-1][0] - ends[0][0]),
        "p50_ms": 1e3 * delays[len(delays) // 2],
        "p99_ms": 1e3 * delays[len(delays) * 99 // 100],
        "longest_ms": 1e3 * delays[-1],
        "drift_ms": 1e3 * drift,
    }


def _itself(one: Listener) -> Listener:
    return one


async def redeem(port: int, token: str, seconds: float, rate: float) -> dict[bytes, float]:
    """Redeem at a rate; when each was due, by its id."""
    free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
    for _ in range(LINES):
        free.put_nowait(await Line(port, token).open())
    due: dict[bytes, float] = {}

    async def one(number: int, at: float) -> None:
        line = await free.get()
        status, told = await line.redeemed(number)
        if status != 201:
            raise SystemExit("a redemption was refused")
        free.put_nowait(line)
        due[json.loads(told)["id"].encode()] = at

    began = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        at = began + number / rate
        if (early := at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(one(number, at)))
    await asyncio.gather(*tasks)
    return due


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
