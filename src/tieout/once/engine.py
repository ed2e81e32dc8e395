"""Run what a key asks for, once; find what became of it; forget it in the end.

What safety rests on is the unique id alone: effect and answer commit together, or not at all. All else here only tells
duplicates early that they are some.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from tieout.contracts import Clock, Transaction
from tieout.database.retrying import TRIES, may_pass, pause_before, retried
from tieout.errors import CommitUnknown, InvalidKey, KeyInFlight, ParamsChanged, UniqueViolation
from tieout.once.answers import Absent, InFlight
from tieout.once.rules import Begin, Busy, Changed, Kept, Replay, Request, Stored, Taken, Verdict, verdict
from tieout.once.store import OnceStore

T = TypeVar("T")

Work: TypeAlias = Callable[[Any], Awaitable[Kept]]
"""Does in a transaction what the request asks for, and returns its answer. It may be run again after a rollback."""

RunStep: TypeAlias = Callable[[Transaction, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""Runs work on what this App's steps are given as their `tx`."""

log = logging.getLogger("tieout.once")

FIRST_LOOK = 0.002
"""Seconds until a request that waits for another one looks again; doubled each time."""

SELDOMEST_LOOK = 0.1
"""Longest pause between two looks, in seconds."""

PURGE_BATCH = 500
"""Rows of one transaction: short enough that nobody waits for it."""


class Given(msgspec.Struct, frozen=True):
    """An answer, and whether it was there already."""

    kept: Kept
    replayed: bool


class Transactions(Protocol):
    """What the engine needs of a database."""

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...
    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...


class UndoneError(Exception):
    """Raised by work that refuses: roll back what it wrote, and keep this answer alone."""

    def __init__(self, kept: Kept) -> None:
        super().__init__("refused, and to be refused again")
        self.kept = kept


class AlreadyThereError(Exception):
    """Another transaction has stored an answer under this id: what ours wrote has to be rolled back."""


class FreeError(Exception):
    """Nothing is stored under this id: the row that showed it has to be rolled back."""


class Turn:
    """One request that this process is at work on, for those with the same key that wait for its end."""

    __slots__ = ("done", "kept", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.kept: Kept | None = None
        self.done = False

    @property
    def stored(self) -> Stored | None:
        """The answer that it came to, as it was stored."""
        asked, kept = self.request, self.kept
        return None if kept is None else Stored(asked.scope, asked.owner, asked.key, asked.fingerprint, kept)


class Engine:
    """Requests with keys, on one database."""

    def __init__(
        self, database: Transactions, store: OnceStore, clock: Clock, chance: Random, run_step: RunStep | None = None
    ) -> None:
        self.database = database
        self.store = store
        self.clock = clock
        self.chance = chance
        self.run_step = run_step or _natively
        self._turns: dict[bytes, Turn] = {}
        self._pid = os.getpid()

    def on(self, database: Transactions) -> Engine:
        """The same on another way into its database, whose transactions are what work is given."""
        return Engine(database, self.store, self.clock, self.chance)

    async def run(self, request: Request, work: Work, *, keep: int, wait: float = 0.0) -> Given:
        """Do the work of a request in one transaction with its answer, or give the answer that is there.

        Raise `ParamsChanged`; `KeyInFlight` when another request with this key is at work for longer than `wait`
        seconds; what `work` raised, and then it is certain that nothing is stored, also by an attempt whose COMMIT was
        lost; or a `DatabaseError` after several tries.
        """
        ends, looks = self.clock.monotonic() + wait, 0
        while True:
            mine, turns = Turn(request), self._turns
            turn = turns.setdefault(request.id, mine)
            if turn is mine:
                try:
                    given = await self._answer(request, work, keep)
                    if given is not None:
                        turn.kept = given.kept
                        return given
                finally:
                    turn.done = True
                    del turns[request.id]
            elif not self._is_here():
                continue
            looks = await self._outwait(turn, ends, looks)
            if turn.stored is not None:
                return _given(request, verdict(request, turn.stored, free=False))

    async def find(self, request: Request) -> Stored | InFlight | Absent:
        """What became of a key; the request's fingerprint is not looked at.

        Stored     the answer is committed.
        InFlight   some transaction is at work on the key, in whichever process; it will commit or roll back.
        Absent     no transaction that had claimed the key when this was asked can commit any more. A request that had
                   not come so far, being on the wire or waiting for a connection, still can.
        """
        at_work = request.id in self._turns and self._is_here()

        async def look(tx: Transaction) -> tuple[bool, Stored | None]:
            # In this order: a transaction that ends in between is either still at work, or seen by the second.
            busy = at_work or await self.store.is_at_work(tx, request.id)
            return busy, await self.store.read(tx, request.id)

        # On SQLite whoever may write is alone, so that nobody else is at work. What is known to be at work here is
        # not waited for.
        enter = self.database.read if at_work else self.database.transact
        busy, stored = await retried(lambda: enter(look), self.clock, self.chance)
        if stored is None:
            return InFlight() if busy else Absent()
        if isinstance(verdict(request, stored, free=False), Taken):
            raise _taken(request)
        return stored

    async def purge(self) -> int:
        """Forget answers that were kept for long enough; how many. Their keys are free again."""

        async def some(tx: Transaction) -> int:
            return await self.store.purge(tx, PURGE_BATCH)

        purged = 0
        while True:
            batch = await retried(lambda: self.database.transact(some), self.clock, self.chance)
            purged += batch
            if batch < PURGE_BATCH:
                return purged

    def _is_here(self) -> bool:
        """Whether the turns are this process's: those that came through a fork would never end, and are dropped."""
        if self._pid == os.getpid():
            return True
        self._turns, self._pid = {}, os.getpid()
        return False

    async def _answer(self, request: Request, work: Work, keep: int) -> Given | None:
        """Transactions until one commits or says who was first; None when another process is at work.

        Whatever an attempt raised, the answer that is there decides: it may have failed because it came second.
        """
        tried, doubt = 0, None
        while True:
            try:
                outcome = await self.database.transact(self._attempt(request, work, keep))
            except UndoneError as undone:
                work = _constant(undone.kept)
                continue
            except Exception as error:  # noqa: BLE001 - goes on below, unless the answer is there
                raised = error
            else:
                if not isinstance(outcome, Busy):
                    return _given(request, outcome)
                if doubt is None:
                    return None
                raised = doubt  # it may be our own transaction that is at work still: its end is waited for
            tried += 1
            doubt = raised if isinstance(raised, CommitUnknown) else doubt
            if not may_pass(raised) and (given := await self._replay(request)) is not None:
                return given
            if tried == TRIES or not (may_pass(raised) or isinstance(raised, AlreadyThereError)):
                raise doubt if doubt is not None and may_pass(raised) else raised
            await self.clock.sleep(pause_before(tried, self.chance))

    def _attempt(self, request: Request, work: Work, keep: int) -> Callable[[Transaction], Awaitable[Given | Verdict]]:
        """What one transaction does, and returns: the answer that it gave and stored, or why it did not begin."""

        async def attempt(tx: Transaction) -> Given | Verdict:
            free, stored = await self.store.claim(tx, request, keep)
            found = verdict(request, stored, free=free)
            if not isinstance(found, Begin):
                return found
            kept: Kept = await self.run_step(tx, work)
            try:
                await self.store.add(tx, request, self.store.encoded(kept), keep)
            except UniqueViolation as error:
                raise AlreadyThereError from error
            return Given(kept, replayed=False)

        return attempt

    async def _replay(self, request: Request) -> Given | None:
        """The answer that is there; None when there is none, and none of an earlier attempt can come any more.

        A row is written in vain: that waits for an attempt whose COMMIT was lost and may still land.
        """

        async def probe(tx: Transaction) -> Stored | None:
            if await self.store.keep(tx, request, Kept("null"), 0):
                raise FreeError
            return await self.store.read(tx, request.id)

        try:
            stored = await retried(lambda: self.database.transact(probe), self.clock, self.chance)
        except FreeError:
            return None
        return None if stored is None else _given(request, verdict(request, stored, free=False))

    async def _outwait(self, turn: Turn, ends: float, looks: int) -> int:
        """Look again after a pause, and until the turn has ended; how often that was, with what was before.

        Raise `KeyInFlight` when there is no time left. Whoever waits holds no connection and no lock.
        """
        while True:
            left = ends - self.clock.monotonic()
            if left <= 0:
                raise KeyInFlight("a request with this key is at work: retry later, with the same key")
            await self.clock.sleep(min(left, self._jittered(min(FIRST_LOOK * 2.0**looks, SELDOMEST_LOOK))))
            looks = min(looks + 1, 16)
            if turn.done:
                return looks

    def _jittered(self, duration: float) -> float:
        """Between half of `duration` and all of it."""
        return duration * (0.5 + self.chance.random() / 2)


def _natively(tx: Transaction, step: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
    return step(tx)


def _constant(kept: Kept) -> Work:
    async def work(_: Any) -> Kept:
        return kept

    return work


def _given(request: Request, outcome: Given | Verdict) -> Given:
    """The answer of an attempt; raise what stands against giving it."""
    if isinstance(outcome, Given):
        return outcome
    if isinstance(outcome, Replay):
        return Given(outcome.kept, replayed=True)
    if isinstance(outcome, Changed):
        log.warning("%s: refused a key that was used before with another request", request.scope)
        raise ParamsChanged(request.id.hex(), ())
    raise _taken(request)


def _taken(request: Request) -> InvalidKey:
    return InvalidKey(f"the id of this key, {request.id.hex()}, is taken by another key: use a new one")
