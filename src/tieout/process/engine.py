"""The engine of processes: one object that starts them, judges reports, works on what is due, and obeys operators."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tieout.errors import DatabaseError, InvalidParams, UnknownProcess
from tieout.identity import parse_call_key
from tieout.messages.store import First
from tieout.process.calls import Calls, normalised
from tieout.process.claiming import Claiming
from tieout.process.driving import CameTo, Driving, FollowUp, Fork
from tieout.process.family import Family
from tieout.process.gate import Gate, Report
from tieout.process.landing import call_of
from tieout.process.moving import Moving, Receipt
from tieout.process.outcomes import Reported
from tieout.process.process import Process
from tieout.process.record import SOURCES, By, Record, Source
from tieout.process.starting import Started, Starting
from tieout.process.world import World

__all__ = ["CameTo", "Engine", "FollowUp", "Fork", "Receipt", "Started"]


class Engine:
    """Wires the parts of the engine over one `World`; has no loop, thread or task of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.starting = Starting(world)
        self.moving = Moving(world)
        self.gate = Gate(world, self.moving)
        self.calls = Calls(world, self.gate)
        self.family = Family(world, self.starting)
        self.driving = Driving(world, self.gate, self.calls, self.family)
        self.claiming = Claiming(world)

    def start(self, request: Process[Any]) -> Coroutine[Any, Any, Started]:
        """Start a process, or find the one that the same request started before."""
        return self.starting.start(request)

    async def report(
        self,
        key: str,
        outcome: Reported,
        source: Source,
        by: By = "message",
        actor: str = "",
        first: First | None = None,
    ) -> Receipt:
        """Judge what somebody says became of a call; raise `UnknownCall` when there is none with this key yet."""
        if source not in SOURCES:
            raise InvalidParams(f"{source!r} is not a source: give one of {', '.join(SOURCES)}")
        process, n = parse_call_key(key)
        record = await self.world.transact(lambda tx: self.world.store.read(tx, process))
        entry = record.entry(n) if record is not None else None
        if record is not None and entry is not None:
            call = call_of(self.world.type_of(record), entry)
            outcome = normalised(call, outcome) if call is not None else outcome
        return await self.gate.report(Report(process, n, outcome, source, by, actor, first), record)

    async def read(self, process: bytes) -> Record:
        """The process with this id; raise `UnknownProcess`."""
        return _there(await self.world.database.read(lambda tx: self.world.store.read(tx, process)), process)

    async def look(self, process: bytes) -> Record:
        """The same for whoever only looks: what of it cannot be read is empty, and it says so."""
        return _there(await self.world.database.read(lambda tx: self.world.store.look(tx, process)), process)

    async def read_again(self, record: Record) -> Record:
        """The process as it is now, or as it was known where it cannot be read: what is accepted stays accepted."""
        try:
            return await self.read(record.id)
        except DatabaseError as error:
            if not error.retryable:
                raise
            return record


def _there(record: Record | None, process: bytes) -> Record:
    if record is None:
        raise UnknownProcess(f"there is no process {process.hex()}")
    return record
