"""Retention: final processes shrink to tombstones, which still refuse their keys and judge late reports."""

from __future__ import annotations

from functools import partial

import msgspec

from tieout.contracts import Transaction
from tieout.process.call_type import CallType
from tieout.process.landing import call_of
from tieout.process.process_type import ProcessType
from tieout.process.record import Entry, Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.world import World

BATCH = 200
"""Rows of one transaction: short enough that nobody waits for it."""

STRAYS_KEPT = 86_400_000_000
"""Microseconds for which reports of unknown calls are kept: a day."""


class Retention:
    """Shrinks and purges, a batch at a time."""

    def __init__(self, world: World, store: SqlProcessStore) -> None:
        self.world = world
        self.store = store

    async def retire(self, age: int) -> int:
        """Turn final processes that are unchanged for `age` microseconds into tombstones; how many.

        A tombstone keeps id, owner, key, state and the finals' digests, in the same row: the unique id goes on
        refusing the key without a second look-up. It is idempotent and may be cancelled between batches. What cannot be
        read, as by an App without the codec that wrote it, is left as it is.
        """
        retired, since = 0, 0
        while True:
            aged = await self.world.database.read(partial(self.store.to_retire, age=age, since=since, limit=BATCH))
            shrunk = await self.world.transact(partial(self._shrink, batch=aged.records))
            retired += shrunk
            if aged.more is None:
                return retired
            is_stuck = not shrunk and aged.more == since  # a batch of one moment, none of which can be read
            since = aged.more + is_stuck

    async def purge(self, age: int) -> int:
        """Forget tombstones that are unchanged for `age` microseconds; how many. Their keys are free again."""
        purged = 0
        while True:
            batch = await self.world.transact(lambda tx: self.store.purge_tombstones(tx, age, BATCH))
            purged += batch
            if batch < BATCH:
                return purged

    async def forget_strays(self) -> int:
        """Forget reports of unknown calls that nothing has come to claim within a day; how many."""
        return await self.world.transact(lambda tx: self.store.forget_strays(tx, STRAYS_KEPT))

    async def _shrink(self, tx: Transaction, batch: list[Record]) -> int:
        shrunk = 0
        for record in batch:
            shrunk += await self.store.save(tx, tombstone(record, self._known(record)), None)
            await self.store.forget_recalls(tx, record.id)
        return shrunk

    def _known(self, record: Record) -> ProcessType | None:
        process_type = self.world.types.get(record.type)
        return process_type if process_type is not None and record.version <= process_type.version else None


def tombstone(record: Record, process_type: ProcessType | None) -> Record:
    """The row without what only a living process needs.

    What late answers must echo is still needed; code that does not know the type cannot tell, and keeps all arguments.
    """
    return msgspec.structs.replace(
        record,
        status="retired",
        params="{}",
        snapshots="{}",
        calls=[_digests(entry, process_type) for entry in record.calls],
        trail=[],
        result=None,
        note=None,
    )


def _digests(entry: Entry, process_type: ProcessType | None) -> Entry:
    final = entry.final
    if final is not None:
        final = msgspec.structs.replace(final, value=None, detail="")
    args = entry.args if process_type is None else _echoed(entry, call_of(process_type, entry))
    return Entry(entry.n, entry.step, args, final=final, closed=entry.closed)


def _echoed(entry: Entry, call: CallType | None) -> msgspec.Raw:
    echoed = {argument for _, argument in call.rules.echo} if call is not None else set()
    args = {name: value for name, value in msgspec.json.decode(entry.args).items() if name in echoed}
    return msgspec.Raw(msgspec.json.encode(args))
