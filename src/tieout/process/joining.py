"""Joined start: a process that commits with a transaction of the user's, or not at all.

Nothing here suspends but in what the transaction and the request's look-ups await: both colours run it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tieout.contracts import Transaction
from tieout.errors import AlreadyStarted, DatabaseError, RetryTransaction
from tieout.identity import encode_json
from tieout.process.claiming import Claiming
from tieout.process.process import Process
from tieout.process.record import Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.starting import AlreadyThereError, FreeError, Starting, check_same
from tieout.process.view import view
from tieout.process.world import World

REMEMBERED = 10_000
"""Processes of which this App remembers that it started them and that nobody works on them; the sweep has the rest."""


class Joining:
    """Starts in transactions that somebody else commits, and what has to begin once they have."""

    def __init__(self, world: World, starting: Starting, claiming: Claiming, store: SqlProcessStore) -> None:
        self.world = world
        self.starting = starting
        self.claiming = claiming
        self.store = store
        self._waiting: dict[bytes, int] = {}

    async def start(self, request: Process[Any], tx: Transaction) -> Record:
        """Start it inside `tx`, in a savepoint of its own: whatever is raised, `tx` is as before, unless it is lost.

        Raise `AlreadyStarted` for a request that was started before, so that what `tx` wrote earlier is rolled back;
        `ParamsChanged`, `KeyRetired`, what the start step raised, or a `DatabaseError`. A retryable one means that `tx`
        is lost: roll back, and repeat all of it.
        """
        params = self.world.registered(request).stored_params(request.__dict__)
        prepared = await self.starting.prepare(request, encode_json(params))
        try:
            record = await tx.savepoint(partial(self.starting.write, prepared))
        except DatabaseError as error:
            if error.retryable:
                raise
            raised: Exception = error
        except Exception as error:  # noqa: BLE001 - raised below, unless the request is a repetition
            raised = error
        else:
            self._remember(record)
            return record
        winner = await self._winner(request, tx, raised)
        if winner is not None:
            process_type = self.world.type_of(winner)
            check_same(winner, request.__dict__["identity"], params, process_type.spellings)
            raise AlreadyStarted(view(winner, process_type, replayed=True))
        if isinstance(raised, AlreadyThereError):
            raise RetryTransaction("the process that had this key is gone: run the transaction again")
        raise raised

    async def take(self, process: bytes) -> Record | None:
        """A committed process to go on with, that nobody else is at work on; None when there is none.

        With `attempts` 0 it is one that this App has started and nobody has worked on; else it was claimed here.
        """
        record = await self.world.database.read(lambda tx: self.world.store.read(tx, process))
        if record is None or record.status != "running" or record.due is None or not self._is_known(record):
            return None
        is_ours = self._waiting.pop(process, None) == record.created and record.fence == 1
        if record.due <= record.now:
            return await self.claiming.claim_one(record)
        return record if is_ours else None

    def _is_known(self, record: Record) -> bool:
        process_type = self.world.types.get(record.type)
        return process_type is not None and record.version <= process_type.version

    def _remember(self, record: Record) -> None:
        if record.status != "running":
            return
        while len(self._waiting) >= REMEMBERED:
            self._waiting.pop(next(iter(self._waiting)), None)  # another thread may have been quicker
        self._waiting[record.id] = record.created

    async def _winner(self, request: Process[Any], tx: Transaction, raised: Exception) -> Record | None:
        """The process that the same key has started before. Whatever this attempt raised, that one decides."""
        process: bytes = request.__dict__["identity"].id
        try:
            winner = await self.store.read_winner(tx, process)
            if winner is None and not isinstance(raised, AlreadyThereError) and not await self._is_free(request, tx):
                winner = await self.store.read_winner(tx, process)
        except DatabaseError as error:
            if error.retryable or isinstance(raised, AlreadyThereError):
                raise
            raise raised from error
        return winner

    async def _is_free(self, request: Process[Any], tx: Transaction) -> bool:
        try:
            await tx.savepoint(partial(self.starting.check_taken, request))
        except FreeError:
            return True
        return False
