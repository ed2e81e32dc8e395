"""The connection that a binlog comes over: a replica's, taken over from asyncmy once the server begins to send."""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import Any

from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap

DUMP = Struct("<BIHI")
COM_BINLOG_DUMP = 0x12
HELD = 4 << 20
"""Bytes that have come and were not taken, above which no more are read."""

WHOLE = 0xFF_FFFF
"""Bytes of a packet that is followed by more of the same."""

OK, END, FAILED = 0x00, 0xFE, 0xFF
MISSING, REFUSED = {1236, 1220, 1373}, {1045, 1227}
"""Errors of a server that has not got what was asked for, or does not give it to this user."""


class Intake(asyncio.Protocol):
    """Keeps what comes until it is taken, and lets the server wait when that is too much."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.woken = asyncio.Event()
        self.ended = ""
        self._chunks: list[bytes] = []
        self.size = 0
        self._limit = HELD

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self.size += len(data)
        if self.size > self._limit:
            self.transport.pause_reading()
        self.woken.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = str(exc or "the server has closed the connection")
        self.woken.set()

    def take(self) -> bytes:
        """All that has come."""
        data, self._chunks, self.size = b"".join(self._chunks), [], 0
        if not self.ended:
            self.transport.resume_reading()
        return data

    def need(self, size: int) -> None:
        """Keep so much, since one packet has it."""
        self._limit = max(HELD, size)


class Packets:
    """The events that a server sends, one by one; it is taken from by one task."""

    def __init__(self, connection: Any) -> None:
        """`connection` is asyncmy's, with nothing under way; it is of no other use afterwards."""
        self._connection = connection
        self._intake = Intake(connection._transport)  # noqa: SLF001 - asyncmy knows no replication stream that stops reading
        self._data, self._place, self._needed = b"", 0, 1
        self._parts: list[bytes] = []

    def begin(self, server_id: int, file: str, byte: int) -> None:
        """Ask for the log as a replica does, from a place on; where GTIDs were set, from behind those."""
        transport = self._intake.transport
        transport.set_protocol(self._intake)
        text = DUMP.pack(COM_BINLOG_DUMP, byte, 0, server_id) + file.encode()
        transport.write(len(text).to_bytes(3, "little") + b"\0" + text)

    async def begun(self) -> None:
        """Wait until the server has begun; raise what it says instead."""
        while not self.fill():
            await self.more()
        if self._data[4] != OK:
            self.next()

    def next(self) -> bytes | None:
        """The next event that has come whole; raise what the server says instead."""
        place = self._place
        begin = place + 4
        end = begin + int.from_bytes(self._data[place : place + 3], "little")
        if len(self._data) < max(begin, end):
            self._needed = max(begin, end) - place
            return None
        self._place = end
        if self._parts or end - begin == WHOLE:
            return self._joined(begin, end)
        if self._data[begin] != OK:
            self._refused(self._data[begin:end])
        return self._data[begin + 1 : end]

    def fill(self) -> bool:
        """Take in what has come; whether it was enough for another event."""
        if self._intake.size + len(self._data) - self._place < self._needed:
            return False
        self._data, self._place = self._data[self._place :] + self._intake.take(), 0
        return True

    async def more(self) -> None:
        """Wait until more has come, or `wake` was called; raise `DatabaseUnavailable` when no more will."""
        intake = self._intake
        if intake.ended:
            raise DatabaseUnavailable(f"the feed's connection is lost: {intake.ended}")
        intake.need(self._needed)
        intake.woken.clear()
        await intake.woken.wait()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._intake.woken.set()

    def close(self) -> None:
        """Cut the connection; whoever waits is told."""
        self._intake.ended = self._intake.ended or "the feed was closed"
        self._intake.transport.abort()
        self.wake()

    def _joined(self, begin: int, end: int) -> bytes | None:
        """An event that is longer than a packet, once its last part has come."""
        self._parts.append(self._data[begin:end])
        if end - begin == WHOLE:
            return self.next()
        whole, self._parts = b"".join(self._parts), []
        if whole[0] != OK:
            self._refused(whole)
        return whole[1:]

    def _refused(self, packet: bytes) -> None:
        if packet[0] == END:
            raise DatabaseUnavailable("the server has ended the feed")
        number = int.from_bytes(packet[1:3], "little") if packet[0] == FAILED else 0
        message = packet[9:].decode(errors="replace") if packet[3:4] == b"#" else packet[3:].decode(errors="replace")
        if number in MISSING:
            raise FeedGap(f"the server has not got what comes next: {message}")
        if number in REFUSED:
            raise ConfigError(f"the server does not give its log to this user (REPLICATION SLAVE): {message}")
        raise DatabaseUnavailable(f"the server has ended the feed: {message}", str(number))
