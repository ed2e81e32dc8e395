"""What the engine of processes acts on: everything that it reads, writes, calls, waits for or draws."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeAlias, TypeVar

import msgspec

from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Caller, Clock, Database, Transaction
from tieout.coordination.breaker import Breakers
from tieout.database.retrying import retried
from tieout.errors import DefinitionError, NewerVersion
from tieout.payloads import PLAIN, Payloads
from tieout.process.process import Process
from tieout.process.process_type import Identity, ProcessType
from tieout.process.record import Record
from tieout.process.store import ProcessStore

T = TypeVar("T")

log = logging.getLogger("tieout.process")

RunStep: TypeAlias = Callable[[Transaction, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""Runs a transaction step on what this App's steps are given as their `tx`; raises the step's errors, translated."""


def run_natively(tx: Transaction, step: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
    """Run a step on the transaction itself."""
    return step(tx)


class World(msgspec.Struct):
    """The engine's collaborators; every part of the engine holds the same one."""

    database: Database
    store: ProcessStore
    alarms: AlarmRaiser
    clock: Clock
    chance: Random
    caller: Caller
    breakers: Breakers
    deps: Any
    types: dict[str, ProcessType]
    run_step: RunStep = run_natively
    payloads: Payloads = PLAIN

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work`, which may be run again, in one transaction; try again while that may help.

        A lost answer to COMMIT is such a case: all that the engine does is guarded, so that doing it again finds that
        it was done. When all tries fail and one of them may have committed, `CommitUnknown` is raised, whatever the
        last one said.
        """
        return await retried(lambda: self.database.transact(work), self.clock, self.chance)

    def jittered(self, duration: float) -> float:
        """Between half of `duration` and all of it."""
        return duration * (0.5 + self.chance.random() / 2)

    def jittered_micros(self, duration: int) -> int:
        """Between half of `duration` and all of it, in whole microseconds."""
        return duration - int(duration * self.chance.random() / 2)

    def server_time(self, record: Record) -> int:
        """The database server's time now, in microseconds."""
        return record.server_time(self.clock.monotonic())

    def type_of(self, record: Record) -> ProcessType:
        """The type of a stored process; raise `NewerVersion` when this code does not know it."""
        process_type = self.types.get(record.type)
        if process_type is None:
            raise NewerVersion(f"this node has no process type {record.type!r}: retry on one that has")
        if record.version > process_type.version:
            raise NewerVersion(f"{record.type} {record.version} is newer than this node's {process_type.version}")
        return process_type

    def registered(self, request: Process[Any]) -> ProcessType:
        """The registered type of a request."""
        cls = type(request)
        process_type: ProcessType | None = getattr(cls, "tieout_type", None)
        if process_type is None or self.types.get(process_type.name) is not process_type:
            raise DefinitionError(f"{cls.__name__} is not registered with this App: decorate it with @app.register")
        return process_type

    def revive(self, process_type: ProcessType, record: Record) -> Process[Any]:
        """The process as its steps see it: params, snapshots and deps; volatile params are gone."""
        if record.revived is None:
            record.revived = {
                **process_type.read_params(record.params),
                "identity": Identity(record.id, record.owner, record.request_key),
                "looked_up": process_type.read_snapshots(record.snapshots),
                "bound_deps": self.deps,
            }
        process: Process[Any] = object.__new__(process_type.cls)
        process.__dict__.update(record.revived)
        return process
