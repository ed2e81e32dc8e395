"""A network that does what it may: it refuses, resets, swallows, delays, half-closes, and loses answers to COMMIT."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Literal

from tests.servers.process import free_port

Fault = Literal["refuse", "reset", "black hole", "delay", "late", "half-close", "commit unsent", "commit unanswered"]
"""What becomes of a request, or of the connection that it came by:

refuse              it is cut, and so are the next that connect
reset               it is cut before the server has the request
black hole          the request and all after it vanish; nothing is closed for longer than any deadline
delay               the answer comes late, though in time
late                the answer comes after the deadline
half-close          the network says that the server has no more to say, and goes on listening
commit unsent       a COMMIT is swallowed and the connection cut
commit unanswered   a COMMIT is served, and exactly its answer is swallowed; then the connection is cut
"""

FAULTS: tuple[Fault, ...] = (
    "refuse",
    "reset",
    "black hole",
    "delay",
    "late",
    "half-close",
    "commit unsent",
    "commit unanswered",
)
OF_COMMIT = ("commit unsent", "commit unanswered")
REFUSED = 2
"""Connections that are refused in a row."""

DELAY, LATE, HELD = 0.2, 1.6, 3.0
"""Seconds that an answer is late, that it is too late, and that a connection stays open on which nothing moves."""

GAP = 40
"""Most requests between two faults."""


def plan(seed: int) -> Iterator[tuple[int, Fault]]:
    """Without an end: how many requests pass, and what then strikes. Every fault comes once in each round."""
    chance = Random(seed)
    while True:
        for fault in chance.sample(FAULTS, len(FAULTS)):
            yield chance.randint(1, GAP), fault


class Network:
    """Stands before a server on this machine; `quiet` until it is told to `strike`."""

    def __init__(self, target: int, seed: int) -> None:
        self.port = free_port()
        self.struck: Counter[str] = Counter()
        self._target = target
        self._plan = plan(seed)
        self._left, self._next = next(self._plan)
        self._strikes = False
        self._refusals = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def strike(self) -> None:
        self._strikes = True

    def quiet(self) -> None:
        """No fault begins any more; those that are under way end by themselves."""
        self._strikes = False
        self._refusals = 0

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def drawn(self, data: bytes) -> Fault | None:
        """What strikes this request."""
        if not self._strikes:
            return None
        self._left -= 1
        if self._left > 0 or (self._next in OF_COMMIT and not is_commit(data)):
            return None
        fault = self._next
        self._left, self._next = next(self._plan)
        if fault == "refuse":
            self._refusals = REFUSED
        else:
            self.struck[fault] += 1
        return fault

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: one that is cancelled before it has begun would leave the connection open.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: reset(writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusals:
            self._refusals -= 1
            self.struck["refuse"] += 1
            return
        try:
            there, away = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        try:
            await Line(self, writer, away).carry(reader, there)
        except (asyncio.CancelledError, OSError):
            return
        finally:
            away.transport.abort()


class Line:
    """One connection through the network, and what has become of it."""

    def __init__(self, network: Network, near: asyncio.StreamWriter, away: asyncio.StreamWriter) -> None:
        self._network, self._near, self._away = network, near, away
        self._swallows = False
        self._delay = 0.0
        self._served = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, there: asyncio.StreamReader) -> None:
        """Carry both ways until either side closes, or a fault ends it."""
        ways = [asyncio.create_task(self._requests(reader)), asyncio.create_task(self._answers(there))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65_536):
            fault = self._network.drawn(data)
            if fault in ("refuse", "reset", "commit unsent"):
                return
            if fault == "black hole":
                self._swallows = True
                await asyncio.sleep(HELD)
                return
            if fault == "half-close":
                self._swallows = True
                self._near.write_eof()
            if fault in ("delay", "late"):
                self._delay = DELAY if fault == "delay" else LATE
            if fault == "commit unanswered":
                self._swallows = True
                self._served.clear()
            self._away.write(data)
            if fault == "commit unanswered":
                await self._served.wait()
                return

    async def _answers(self, there: asyncio.StreamReader) -> None:
        while data := await there.read(65_536):
            self._served.set()
            if self._delay:
                delay, self._delay = self._delay, 0.0
                await asyncio.sleep(delay)
            if not self._swallows:
                self._near.write(data)
        if self._swallows:
            await asyncio.sleep(HELD)


def is_commit(data: bytes) -> bool:
    """Whether this request is a COMMIT and nothing else, in the words of either protocol."""
    return data.rstrip(b"\0").endswith(b"COMMIT")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side is told of a reset, not of an end."""
    held = writer.get_extra_info("socket")
    if held is not None and held.fileno() >= 0:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
