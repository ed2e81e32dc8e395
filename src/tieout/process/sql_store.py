"""Processes in the user's database: one typed function for each named statement."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from tieout.contracts import Clock, Row, Transaction
from tieout.database.query import load
from tieout.errors import PayloadUnreadable
from tieout.identity import owners_of
from tieout.payloads import PLAIN, Payloads
from tieout.process.record import Child, Record, decode_calls, decode_trail, encode_calls, encode_trail
from tieout.process.store import Aged, EndedChild, Filter, Match, NewProcess, Overdue, StateCount, StoredState, Stray

log = logging.getLogger("tieout.process")

_CALLS = Record.__struct_fields__.index("calls")
_TRAIL = Record.__struct_fields__.index("trail")
_CREATED = Record.__struct_fields__.index("created")
_PAYLOADS = [Record.__struct_fields__.index(name) for name in ("params", "snapshots", "calls", "result", "wish")]
_EMPTY = {"params": "{}", "snapshots": "{}", "calls": "[]", "trail": "[]", "result": None, "wish": None}
_ILLEGIBLE = (msgspec.DecodeError, PayloadUnreadable)


class SqlProcessStore:
    """Processes over named SQL."""

    def __init__(self, dialect: str, clock: Clock, payloads: Payloads = PLAIN) -> None:
        self.sql = load("tieout.process", dialect)
        self.clock = clock
        self._stored, self._read = payloads.stored, payloads.read

    async def insert(self, tx: Transaction, process: NewProcess) -> int | None:
        """Insert it with fence 1; the server's time, or None when the id exists (then nothing was written)."""
        row = await tx.fetch_one(
            self.sql.insert_process,
            id=process.id,
            type=process.type,
            owner=process.owner,
            request_key=process.request_key,
            version=process.version,
            state=process.state,
            status=process.status,
            due_in=process.due_in,
            lane=process.lane,
            params=self._stored(process.params),
            snapshots=self._stored(process.snapshots),
            calls=self._stored(process.calls),
            result=self._stored(process.result),
            deadline_in=process.deadline_in,
            parent=process.parent,
        )
        return None if row is None else int(row[0])

    async def read(self, tx: Transaction, process: bytes) -> Record | None:
        """The row as committed before this statement, or changed by this transaction; None when there is none."""
        asked_at = self.clock.monotonic()
        row = await tx.fetch_one(self.sql.read_process, id=process)
        return None if row is None else self._record(row, asked_at)

    async def look(self, tx: Transaction, process: bytes) -> Record | None:
        """The same for whoever only looks: what of it cannot be read is empty, and it says so."""
        asked_at = self.clock.monotonic()
        row = await tx.fetch_one(self.sql.read_process, id=process)
        return None if row is None else self._shown(row, asked_at)

    async def save(self, tx: Transaction, record: Record, due_in: int | None) -> bool:
        """Write what may change of it and raise the fence; False when the row's fence is not the record's."""
        matched = await tx.execute(
            self.sql.save_process,
            id=record.id,
            fence=record.fence,
            state=record.state,
            status=record.status,
            due_in=due_in,
            lane=record.lane,
            params=self._stored(record.params),
            snapshots=self._stored(record.snapshots),
            calls=self._stored(encode_calls(record.calls)),
            trail=encode_trail(record.trail),
            result=self._stored(record.result),
            note=record.note,
            attempts=record.attempts,
            errors=record.errors,
            wish=self._stored(record.wish),
        )
        return matched == 1

    async def postpone(self, tx: Transaction, process: bytes, fence: int, due_in: int, note: str) -> bool:
        """Set when a running process is due; False when its fence is another or it does not run."""
        matched = await tx.execute(self.sql.postpone_process, id=process, fence=fence, due_in=due_in, note=note)
        return matched == 1

    async def hasten(self, tx: Transaction, process: bytes) -> bool:
        """Make a running process due now; False when it does not run or is due already."""
        return await tx.execute(self.sql.hasten_process, id=process) == 1

    async def count_duplicate(self, tx: Transaction, process: bytes) -> None:
        """Count one more report of a final that was known."""
        await tx.execute(self.sql.count_duplicate, id=process)

    async def claim(
        self, tx: Transaction, lanes: list[str], types: dict[str, int], share: int, lease: int, low: int
    ) -> list[Record]:
        """Due processes of these types, at most `share` of each lane, made due only after `lease` microseconds."""
        asked_at = self.clock.monotonic()
        rows = await self.claim_rows(tx, lanes, types, share, lease, low)
        return [record for row in rows if (record := self._legible(row, asked_at)) is not None]

    async def claim_rows(
        self, tx: Transaction, lanes: list[str], types: dict[str, int], share: int, lease: int, low: int
    ) -> Sequence[Row]:
        """The rows of a claim, as they are after it."""
        return await tx.fetch(
            self.sql.claim_processes,
            lanes=lanes,
            types=list(types),
            versions=list(types.values()),
            share=share,
            lease=lease,
            low=low,
        )

    async def lanes(self, tx: Transaction) -> list[str]:
        """Every lane that a running process of any type waits on, by name; costs one look-up for each."""
        return [str(lane) for (lane,) in await tx.fetch(self.sql.lanes_in_use)]

    async def server_time(self, tx: Transaction) -> int:
        """The server's time, in microseconds."""
        row = await tx.fetch_one(self.sql.server_time)
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return int(row[0])

    async def overdue(self, tx: Transaction, types: list[str], age: int) -> list[Overdue]:
        """Lanes with processes that have been due for longer than `age` microseconds."""
        return [Overdue(*row) for row in await tx.fetch(self.sql.lanes_overdue, types=types, age=age)]

    async def page(self, tx: Transaction, wanted: Filter) -> list[Record]:
        """Processes, newest first; of one that cannot be read in full, the rest."""
        owner_from, owner_to = owners_of(wanted.client)
        asked_at = self.clock.monotonic()
        rows = await tx.fetch(
            self.sql.list_processes,
            type=wanted.type,
            state=wanted.state,
            status=wanted.status,
            lane=wanted.lane,
            note=beginning_with(wanted.note),
            owner_from=owner_from,
            owner_to=owner_to,
            since=wanted.since,
            before=wanted.before,
            before_id=wanted.before_id,
            limit=wanted.limit,
        )
        return [self._shown(row, asked_at) for row in rows]

    async def matching(self, tx: Transaction, wanted: Filter, statuses: tuple[str, str]) -> list[Match]:
        """Which processes a filter matches, newest first, with one of two statuses instead of the filter's own."""
        owner_from, owner_to = owners_of(wanted.client)
        rows = await tx.fetch(
            self.sql.match_processes,
            type=wanted.type,
            state=wanted.state,
            status=statuses[0],
            or_status=statuses[1],
            lane=wanted.lane,
            note=beginning_with(wanted.note),
            owner_from=owner_from,
            owner_to=owner_to,
            since=wanted.since,
            before=wanted.before,
            before_id=wanted.before_id,
            limit=wanted.limit,
        )
        return [Match(bytes(row[0]), row[1], bool(row[2])) for row in rows]

    async def count_matching(self, tx: Transaction, wanted: Filter, statuses: tuple[str, str]) -> int:
        """How many processes `matching` would go through, whatever the filter's limit."""
        owner_from, owner_to = owners_of(wanted.client)
        row = await tx.fetch_one(
            self.sql.count_matching,
            type=wanted.type,
            state=wanted.state,
            status=statuses[0],
            or_status=statuses[1],
            lane=wanted.lane,
            note=beginning_with(wanted.note),
            owner_from=owner_from,
            owner_to=owner_to,
            since=wanted.since,
            before=wanted.before,
            before_id=wanted.before_id,
        )
        return 0 if row is None else int(row[0])

    async def counts(self, tx: Transaction) -> list[StateCount]:
        """How many processes stand where; reads the whole table."""
        return [StateCount(*row) for row in await tx.fetch(self.sql.count_processes)]

    async def stored_states(self, tx: Transaction) -> list[StoredState]:
        """The states at which processes that are not final stand."""
        return [StoredState(*row) for row in await tx.fetch(self.sql.stored_states)]

    async def read_winner(self, tx: Transaction, process: bytes) -> Record | None:
        """The row as committed last, however old the snapshot of the transaction is; None when there is none."""
        asked_at = self.clock.monotonic()
        row = await tx.fetch_one(self.sql.read_winner, id=process)
        return None if row is None else self._record(row, asked_at)

    async def to_retire(self, tx: Transaction, age: int, since: int, limit: int) -> Aged:
        """Final processes unchanged for `age` microseconds and created at or after `since`, oldest first."""
        asked_at = self.clock.monotonic()
        rows = await tx.fetch(self.sql.finals_to_retire, age=age, since=since, limit=limit)
        records = [record for row in rows if (record := self._legible(row, asked_at)) is not None]
        return Aged(records, rows[-1][_CREATED] if len(rows) == limit else None)

    async def purge_tombstones(self, tx: Transaction, age: int, limit: int) -> int:
        """Forget tombstones unchanged for `age` microseconds; how many."""
        return await tx.execute(self.sql.purge_tombstones, age=age, limit=limit)

    async def keep_stray(self, tx: Transaction, call_key: str, digest: str, body: str, limit: int) -> None:
        """Keep a report of an unknown call, unless `limit` of them are kept already."""
        kept = self._stored(body)
        await tx.execute(self.sql.keep_stray, call_key=call_key, digest=digest, body=kept, limit=limit)

    async def add_children(self, tx: Transaction, parent: bytes, children: Sequence[Child]) -> None:
        """Store the requests of children that are to be started; one that is there already is left as it is."""
        await tx.execute_many(
            self.sql.add_child,
            [
                {"parent": parent, "child": one.id, "n": n, "type": one.type, "params": self._stored(one.params)}
                for n, one in enumerate(children)
            ],
        )

    async def pending_children(self, tx: Transaction, parent: bytes, limit: int) -> list[Child]:
        """Children that are not started yet, in their order."""
        rows = await tx.fetch(self.sql.pending_children, parent=parent, limit=limit)
        return [Child(child, kind, self._read(params)) for child, kind, params in rows]

    async def child_started(self, tx: Transaction, parent: bytes, child: bytes) -> bool:
        """Note that a child has been started; False when its parent does not wait for it to be."""
        return await tx.execute(self.sql.child_started, parent=parent, child=child) == 1

    async def child_refused(self, tx: Transaction, parent: bytes, child: bytes, result: str) -> None:
        """Note that a child will never start, and why (JSON)."""
        await tx.execute(self.sql.child_refused, parent=parent, child=child, result=self._stored(result))

    async def fold_children(self, tx: Transaction, parent: bytes) -> int:
        """Note of all started children that are final how they ended; how many are still open."""
        await tx.execute(self.sql.fold_children, parent=parent)
        row = await tx.fetch_one(self.sql.open_children, parent=parent)
        return 0 if row is None else int(row[0])

    async def ended_children(self, tx: Transaction, parent: bytes) -> list[EndedChild]:
        """How the children ended, in their order."""
        rows = await tx.fetch(self.sql.ended_children, parent=parent)
        return [EndedChild(child, kind, final, self._read(result)) for child, kind, final, result in rows]

    async def forget_children(self, tx: Transaction, parent: bytes) -> None:
        """Forget the children of a state that the parent leaves."""
        await tx.execute(self.sql.forget_children, parent=parent)

    async def recall(self, tx: Transaction, process: bytes, name: str) -> str | None:
        """The value (JSON) kept under a name, or None."""
        row = await tx.fetch_one(self.sql.recall, process=process, name=name)
        return None if row is None else self._read(str(row[0]))

    async def keep_recall(self, tx: Transaction, process: bytes, name: str, value: str) -> bool:
        """Keep a value (JSON) under a name; False when there is one."""
        return await tx.execute(self.sql.keep_recall, process=process, name=name, value=self._stored(value)) == 1

    async def forget_recalls(self, tx: Transaction, process: bytes) -> None:
        """Forget what was kept for a process that has ended."""
        await tx.execute(self.sql.forget_recalls, process=process)

    async def strays(self, tx: Transaction, call_key: str) -> list[Stray]:
        """The reports kept for a call that was unknown when they came, oldest first."""
        rows = await tx.fetch(self.sql.strays_of, call_key=call_key)
        return [Stray(key, digest, at, self._read(body)) for key, digest, at, body in rows]

    async def forget_strays(self, tx: Transaction, age: int) -> int:
        """Forget reports of unknown calls older than `age` microseconds; how many."""
        return await tx.execute(self.sql.forget_strays, age=age)

    def _legible(self, row: Row, asked_at: float) -> Record | None:
        """The record of a row to be worked on, or None: one row that cannot be read must not stop all others."""
        try:
            return self._record(row, asked_at)
        except _ILLEGIBLE:
            log.exception("process %s cannot be read by this code: it is passed over", bytes(row["id"]).hex())
            return None

    def _shown(self, row: Row, asked_at: float) -> Record:
        """The record of a row that is only looked at."""
        try:
            return self._record(row, asked_at)
        except _ILLEGIBLE:
            columns = dict(zip(Record.__struct_fields__, row, strict=False))
        unreadable = tuple(name for name in _EMPTY if not self._is_legible(name, columns[name]))
        columns.update({name: _EMPTY[name] for name in unreadable})
        return replace(self._record(columns.values(), asked_at), unreadable=unreadable)

    def _is_legible(self, name: str, value: Any) -> bool:
        try:
            if name == "trail":
                decode_trail(value)
            elif name == "calls":
                decode_calls(self._read(value))
            else:
                self._read(value)
        except _ILLEGIBLE:
            return False
        return True

    def _record(self, row: Iterable[Any], asked_at: float) -> Record:
        values = list(row)
        for at in _PAYLOADS:
            values[at] = self._read(values[at])
        values[_CALLS] = decode_calls(values[_CALLS])
        values[_TRAIL] = decode_trail(values[_TRAIL])
        values.append(asked_at)
        return Record(*values)


def beginning_with(text: str) -> str:
    """The LIKE pattern, with ! as its escape, of what begins with `text`; "" for an empty one."""
    return re.sub(r"([!%_])", r"!\1", text) + "%" if text else ""
