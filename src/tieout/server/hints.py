"""Hints that something has changed: bounded for each listener, and never relied upon."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from tieout.errors import Overloaded
from tieout.identity import split_owner
from tieout.process.record import Record

KEPT = 10_000
"""Hints that a listener who comes back may still be given."""

PULSE = 15.0
"""Seconds of silence after which a listener is told that the line still stands."""

GATHER = 0.02
"""Seconds for which hints are gathered: a listener is sent all of them at once, which costs as much as sending one."""


class Hint(msgspec.Struct, frozen=True):
    """Something to look at again, as every listener is sent it; `topic` and `client`, whose it is, say who hears it."""

    n: int
    topic: str
    client: str
    sent: bytes


class Listener:
    """One connection's queue. When it is full, hints are dropped, and the listener is told so."""

    def __init__(self, hub: Hub, client: str, topics: frozenset[str], room: int) -> None:
        self.client = client
        self.topics = topics
        self.dropped = 0
        self._hub = hub
        self._queue: deque[Hint] = deque()
        self._room = room
        self._filled = asyncio.Event()

    def offer(self, hint: Hint) -> None:
        """Put it in the queue, if it is meant for this listener and there is room."""
        if hint.topic not in self.topics or (self.client and hint.client != self.client):
            return
        if len(self._queue) >= self._room:
            self.dropped += 1
            self._hub.dropped += 1
            return
        self._queue.append(hint)

    def wake(self) -> None:
        """Let it send what it has, or see that the hub is closed."""
        if self._has_news():
            self._filled.set()

    async def events(self) -> AsyncIterator[bytes]:
        """What is sent: hints, `dropped` with their number where some are missing, and a pulse in silence."""
        try:
            yield b"retry: 2000\n\n"
            while not self._hub.is_closed:
                if self._queue:
                    gathered, self._queue = self._queue, deque()
                    yield b"".join(hint.sent for hint in gathered)
                if self.dropped:
                    count, self.dropped = self.dropped, 0
                    yield b'event: dropped\ndata: {"dropped":%d}\n\n' % count
                if not await self._more():
                    yield b": still here\n\n"
            yield b"event: closed\ndata: {}\n\n"
        finally:
            self._hub.leave(self)

    async def _more(self) -> bool:
        self._filled.clear()
        if self._has_news():
            return True
        try:
            async with asyncio.timeout(PULSE):
                await self._filled.wait()
        except TimeoutError:
            return False
        return True

    def _has_news(self) -> bool:
        return bool(self._queue or self.dropped or self._hub.is_closed)


class Hub:
    """All listeners of a node. `name` tells its hints from those of other nodes, whose numbers mean other things."""

    def __init__(self, name: str, *, most: int, room: int) -> None:
        self.name = name
        self.dropped = 0
        self.is_closed = False
        self._most = most
        self._room = room
        self._numbers = 0
        self._waking: asyncio.TimerHandle | None = None
        self._recent: deque[Hint] = deque(maxlen=KEPT)
        self._listeners: set[Listener] = set()
        self.on_listener: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._listeners)

    def tell(self, topic: str, id: str, state: str, client: str = "") -> None:
        """Tell everybody whom it concerns."""
        self._numbers += 1
        hint = Hint(self._numbers, topic, client, _event(f"{self.name}-{self._numbers}", topic, id, state))
        self._recent.append(hint)
        for listener in self._listeners:
            listener.offer(hint)
        if self._waking is None and self._listeners:
            self._waking = asyncio.get_running_loop().call_later(GATHER, self._wake)

    def moved(self, record: Record) -> None:
        """A process has moved."""
        self.tell("process", record.id.hex(), record.state, split_owner(record.owner)[0])

    def listen(self, client: str, topics: frozenset[str], last: str = "") -> Listener:
        """A new listener, with what it has missed since the hint `last`, or told that it cannot be known.

        Raise `Overloaded` when there are too many.
        """
        if len(self._listeners) >= self._most or self.is_closed:
            raise Overloaded("as many listen as this node allows: ask for what has changed instead")
        listener = Listener(self, client, topics, self._room)
        if last:
            self._catch_up(listener, last)
        self._listeners.add(listener)
        self.on_listener()
        return listener

    def leave(self, listener: Listener) -> None:
        """A listener has gone."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream, so that its connection can be closed."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        self._waking = None
        for listener in self._listeners:
            listener.wake()

    def _catch_up(self, listener: Listener, last: str) -> None:
        node, _, number = last.rpartition("-")
        oldest = self._recent[0].n if self._recent else self._numbers + 1
        if node != self.name or not number.isdecimal() or int(number) + 1 < oldest:
            listener.dropped += 1
            return
        for hint in self._recent:
            if hint.n > int(number):
                listener.offer(hint)


def _event(number: str, topic: str, id: str, state: str) -> bytes:
    data = msgspec.json.encode({"topic": topic, "id": id, "state": state})
    return b"id: %b\ndata: %b\n\n" % (number.encode(), data)
