"""Start: the process row and the start step's business writes commit together, or a process is there already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from tieout import tracing
from tieout.contracts import Transaction
from tieout.errors import DatabaseError, InvalidKey, KeyRetired, NotAllowed, ParamsChanged
from tieout.identity import Spelling, encode_json
from tieout.process.landing import first_calls, land
from tieout.process.process import Process
from tieout.process.process_type import Identity, ProcessType
from tieout.process.publishing import publish_final
from tieout.process.record import Record, encode_calls
from tieout.process.rules import changed_params
from tieout.process.store import NewProcess
from tieout.process.world import World, log

LEFT_ALONE = 2_000_000
"""Microseconds: a repeated request does not bring forward what is due within this time anyway."""


class Started(msgspec.Struct, frozen=True):
    """A process, and whether it was there already."""

    record: Record
    replayed: bool


class AlreadyThereError(Exception):
    """The id exists: what the start step wrote has to be rolled back."""


class FreeError(Exception):
    """The id was free: the row that showed it has to be rolled back."""


class Prepared(msgspec.Struct, frozen=True):
    """A request ready for its transaction: its look-ups are made; params and look-ups as they will be stored."""

    process_type: ProcessType
    request: Process[Any]
    params: str
    snapshots: str
    parent: bytes | None = None


class Starting:
    """The first transaction of a process, and what a repeated request gets instead."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self, request: Process[Any], parent: bytes | None = None) -> Started:
        """Start it, or find the process that the same request started before.

        Raise `ParamsChanged`, `KeyRetired`, what the start step raised, or a `DatabaseError` after several tries.
        Whatever a repeated request's own attempt raised, the process that is there decides what it gets. A refusal is
        certain: also an earlier attempt whose COMMIT was lost has not stored anything, and will not.
        """
        process_type = self.world.registered(request)
        params = process_type.stored_params(request.__dict__)
        if not tracing.is_on():
            return await self._start(request, params, parent)
        with tracing.span(f"start {process_type.name}"):
            return await self._start(request, params, parent)

    async def _start(self, request: Process[Any], params: dict[str, Any], parent: bytes | None) -> Started:
        encoded = encode_json(params)
        while True:
            try:
                prepared = await self.prepare(request, encoded, parent)
                return Started(await self.world.transact(partial(self.write, prepared)), replayed=False)
            except DatabaseError as error:
                if error.retryable:
                    raise
                raised: Exception = error
            except Exception as error:  # noqa: BLE001 - goes on below, unless the request is a repetition
                raised = error
            found = await self._existing(request, params)
            if found is not None:
                return Started(found, replayed=True)
            if not isinstance(raised, AlreadyThereError) and await self._is_free(request):
                raise raised

    async def prepare(self, request: Process[Any], params: str, parent: bytes | None = None) -> Prepared:
        """Look up what the request's type keeps of the world."""
        process_type = self.world.registered(request)
        if process_type.look_ups:  # kept apart from those of another start of the same object
            request = _copied(request)
        request.__dict__.update(bound_deps=self.world.deps, looked_up={})
        snapshots = await self._look_up(process_type, request) if process_type.look_ups else "{}"
        return Prepared(process_type, request, params, snapshots, parent)

    async def write(self, prepared: Prepared, tx: Transaction) -> Record:
        """Run the start step and insert the process; raise `AlreadyThereError` when its id exists."""
        process_type, request, parent = prepared.process_type, prepared.request, prepared.parent
        moved = await self.world.run_step(tx, partial(process_type.start.method, request))
        landing = land(process_type, process_type.check_next(process_type.start, moved))
        calls = first_calls(landing, tracing.context())
        identity: Identity = request.__dict__["identity"]
        process = NewProcess(
            identity.id,
            process_type.name,
            identity.owner,
            identity.key,
            process_type.version,
            landing.state,
            landing.status,
            landing.due_in,
            landing.lane,
            prepared.params,
            prepared.snapshots,
            encode_calls(calls),
            landing.result,
            process_type.deadline if landing.status == "running" else None,
            parent,
        )
        asked_at = self.world.clock.monotonic()
        created = await self.world.store.insert(tx, process)
        if created is None:
            raise AlreadyThereError
        if parent is not None and not await self.world.store.child_started(tx, parent, identity.id):
            raise NotAllowed("its parent does not wait for it any more, or has noted that it was refused")
        if landing.children:
            await self.world.store.add_children(tx, identity.id, landing.children)
        record = _first_record(process, calls, created, asked_at)
        if process_type.published:
            await publish_final(tx, process_type, record, self.world.payloads)
        return record

    async def _look_up(self, process_type: ProcessType, request: Process[Any]) -> str:
        plain: dict[str, Any] = {}
        looked_up = request.__dict__["looked_up"]
        for name, look_up in process_type.look_ups.items():
            codec = process_type.snapshot_codecs[name]
            plain[name] = codec.plain(await look_up(request))
            looked_up[name] = codec.typed(plain[name])
        return encode_json(plain)

    async def check_taken(self, request: Process[Any], tx: Transaction) -> None:
        """Raise `FreeError` when no process has this id; waits for an attempt whose COMMIT was lost but may land."""
        identity: Identity = request.__dict__["identity"]
        process_type = self.world.registered(request)
        row = NewProcess(
            *(identity.id, process_type.name, identity.owner, identity.key, process_type.version, "", "final"),
            *(None, None, "{}", "{}", "[]", None, None),
        )

        if await self.world.store.insert(tx, row) is not None:
            raise FreeError

    async def _is_free(self, request: Process[Any]) -> bool:
        try:
            await self.world.transact(partial(self.check_taken, request))
        except FreeError:
            return True
        return False

    async def _existing(self, request: Process[Any], params: dict[str, Any]) -> Record | None:
        world, identity = self.world, request.__dict__["identity"]

        async def work(tx: Transaction) -> Record | None:
            record = await world.store.read(tx, identity.id)
            if record is not None and _wants_nudge(record):
                await world.store.hasten(tx, identity.id)
            return record

        record = await world.transact(work)
        if record is not None:
            check_same(record, identity, params, world.type_of(record).spellings)
        return record


def _copied(request: Process[Any]) -> Process[Any]:
    copied: Process[Any] = object.__new__(type(request))
    copied.__dict__.update(request.__dict__)
    return copied


def check_same(record: Record, identity: Identity, params: dict[str, Any], spellings: Mapping[str, Spelling]) -> None:
    """Raise `ParamsChanged`, `KeyRetired` or `InvalidKey` unless this row was started by the same request."""
    if (record.owner, record.request_key) != (identity.owner, identity.key):
        raise InvalidKey(f"the id of this key, {record.id.hex()}, is taken by another key: use a new one")
    if record.status == "retired":
        raise KeyRetired(f"process {record.id.hex()} has ended long ago and only its tombstone is kept")
    fields = changed_params(msgspec.json.decode(record.params), params, spellings)
    if fields:
        log.warning("process %s: refused a repetition that changes %s", record.id.hex(), ", ".join(fields))
        raise ParamsChanged(record.id.hex(), fields)


def _wants_nudge(record: Record) -> bool:
    """Whether the sweep has had it, so that nobody is at work on it, and would leave it for a while yet."""
    return (
        record.status == "running"
        and record.attempts > 0
        and record.due is not None
        and record.due > record.now + LEFT_ALONE
    )


def _first_record(process: NewProcess, calls: list[Any], created: int, asked_at: float) -> Record:
    return Record(
        process.id,
        process.type,
        process.owner,
        process.request_key,
        process.version,
        process.state,
        "final" if process.due_in is None else "running",
        1,
        None if process.due_in is None else created + process.due_in,
        process.lane,
        process.params,
        process.snapshots,
        calls,
        [],
        process.result,
        None,
        0,
        0,
        0,
        None if process.deadline_in is None else created + process.deadline_in,
        None,
        process.parent,
        created,
        created,
        created,
        asked_at,
    )
