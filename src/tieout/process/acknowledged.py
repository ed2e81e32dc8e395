"""What this node has told its clients to be accepted, looked for again where the server may have lost it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Database, Transaction
from tieout.database.replication import Replaceable
from tieout.process.record import Record
from tieout.process.store import ProcessStore
from tieout.process.world import World

RESTART = 2
"""Seconds by which the start of a server has to differ to be another one: some count it in whole seconds."""

T = TypeVar("T")

log = logging.getLogger("tieout.process")

KEPT = 20_000
"""Acknowledgements that are remembered, the latest ones: a few megabytes."""

TOLD = 100
"""Requests in one piece of evidence, which bounds its length."""

READ = 200
"""Rows that are looked for in one transaction."""


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """A request that was accepted: its process, as it was named to the client, and when, on this node's clock."""

    at: float
    process: bytes
    type: str
    key: bytes
    created: int


class Server(NamedTuple):
    """A server, and when its program was started; None while that is not known."""

    primary: str
    started: int | None

    def is_another_than(self, before: Server) -> bool:
        """Whether it is not the one before, or has been started anew since."""
        if self.primary != before.primary:
            return True
        both = self.started is not None and before.started is not None
        return both and abs((self.started or 0) - (before.started or 0)) > RESTART


class Lost(NamedTuple):
    """A request that was accepted and is not there. `is_again` when it was started anew since."""

    type: str
    key: bytes
    process: bytes
    is_again: bool


class Acknowledged:
    """The latest acknowledgements of this node, in its memory: what a server that took over may lack.

    A replica that follows asynchronously does not have the last commits of a primary that died. What they accepted is
    not in the database any more; those who acknowledged it are the only ones who know.
    """

    def __init__(self, world: World, store: ProcessStore, database: Database) -> None:
        self._world = world
        self._store = store
        # Asked once: this looks at every attribute, and each request is noted.
        self._database = database if isinstance(database, Replaceable) else None
        self._latest: deque[Acknowledgement] = deque(maxlen=KEPT)
        self._server: Server | None = None
        self._compared = 0.0

    def note(self, record: Record) -> None:
        """Remember that a process was acknowledged. Any thread may call it."""
        if self._database is None:
            return
        self._server = self._server or Server(self._database.primary, None)
        at = self._world.clock.monotonic()
        self._latest.append(Acknowledgement(at, record.id, record.type, record.request_key, record.created))

    async def compare(self, started: int | None) -> list[Lost]:
        """Where another server has taken over, or this one was started anew: tell what it lacks, in one alarm.

        `started` is when the server's program was, in seconds, where it says so. One that was killed and comes back
        lacks nothing, unless its disk was not asked to keep it; one that was restored from a backup does.
        """
        if self._database is None:
            return []
        before, now = self._server, Server(self._database.primary, started)
        if before is None or not now.is_another_than(before):
            self._server = now
            return []
        noted = [one for one in self._latest.copy() if one.at > self._compared]
        lost = [one for page in _pages(noted, READ) for one in await self._absent(page)]
        if lost:
            alarm = alarm_of(now.primary, before.primary, lost)
            await self._world.transact(lambda tx: self._world.alarms.raise_alarm(tx, alarm))
        log.warning(
            "%s: %d of %d acknowledged requests are lost", _how(now.primary, before.primary), len(lost), len(noted)
        )
        self._server = now
        self._compared = noted[-1].at if noted else self._compared
        return lost

    async def _absent(self, page: Sequence[Acknowledgement]) -> list[Lost]:
        async def work(tx: Transaction) -> list[Lost]:
            lost: list[Lost] = []
            for one in page:
                record = await self._store.read(tx, one.process)
                if record is None or record.created != one.created:
                    lost.append(Lost(one.type, one.key, one.process, is_again=record is not None))
            return lost

        return await self._world.database.read(work)


def alarm_of(primary: str, before: str, lost: Sequence[Lost]) -> NewAlarm:
    """The alarm of a takeover that lost acknowledged requests, which are its evidence, so many in each piece."""
    again = sum(one.is_again for one in lost)
    summary = (
        f"{len(lost)} accepted requests are not there ({_how(primary, before)}; {again} were started anew since):"
        " have clients repeat them, and ask the downstreams"
    )
    return NewAlarm("possible-loss", primary, summary, None, tuple(_evidence(lost)))


def _how(primary: str, before: str) -> str:
    return f"{primary} was started again" if primary == before else f"{primary} took over from {before}"


def _evidence(lost: Sequence[Lost]) -> Iterator[dict[str, Any]]:
    for page in _pages(lost, TOLD):
        yield {
            "lost": [
                {
                    "type": one.type,
                    "key": one.key.decode(errors="replace"),
                    "process": one.process.hex(),
                    "started_anew": one.is_again,
                }
                for one in page
            ]
        }


def _pages(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
