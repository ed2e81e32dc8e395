"""What this node has told its clients to be accepted, looked for again once another server has taken over."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Database, Transaction
from tieout.database.replication import Replaceable
from tieout.process.record import Record
from tieout.process.store import ProcessStore
from tieout.process.world import World

T = TypeVar("T")

log = logging.getLogger("tieout.process")

WINDOW = 60.0
"""Seconds before the last acknowledgement within which they are looked for: more than replicas should lag behind."""

KEPT = 20_000
"""Acknowledgements that are remembered, the latest ones: a few megabytes."""

TOLD = 100
"""Requests in one piece of evidence, which bounds its length."""

READ = 200
"""Rows that are looked for in one transaction."""


class Acknowledgement(NamedTuple):
    """A request that was accepted: its process, as it was named to the client, and when, on this node's clock."""

    at: float
    process: bytes
    type: str
    key: bytes
    created: int


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
        self._database = database
        self._latest: deque[Acknowledgement] = deque(maxlen=KEPT)
        self._primary = ""
        self._compared = 0.0

    def note(self, record: Record) -> None:
        """Remember that a process was acknowledged. Any thread may call it."""
        if not isinstance(self._database, Replaceable):
            return
        self._primary = self._primary or self._database.primary
        at = self._world.clock.monotonic()
        self._latest.append(Acknowledgement(at, record.id, record.type, record.request_key, record.created))

    async def compare(self) -> list[Lost]:
        """After another server has taken over: raise one alarm about what it lacks, and return that."""
        if not isinstance(self._database, Replaceable) or self._database.primary in ("", self._primary):
            return []
        before, primary = self._primary, self._database.primary
        if not before:
            self._primary = primary
            return []
        noted = [one for one in self._latest.copy() if one.at > self._compared]
        since = noted[-1].at - WINDOW if noted else 0.0
        window = [one for one in noted if one.at >= since]
        lost = [one for page in _pages(window, READ) for one in await self._absent(page)]
        if lost:
            await self._world.transact(lambda tx: self._world.alarms.raise_alarm(tx, alarm_of(primary, before, lost)))
        log.warning(
            "%s has taken over from %s: %d of %d acknowledged are lost", primary, before, len(lost), len(window)
        )
        self._primary = primary
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
        f"{len(lost)} accepted requests are not on {primary}, which took over from {before}"
        f" ({again} of them were started anew since): have clients repeat them, and ask the downstreams"
    )
    return NewAlarm("possible-loss", primary, summary, None, tuple(_evidence(lost)))


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
