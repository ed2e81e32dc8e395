"""Pushes: a message of a supplier's, checked, and stored before it is answered; the writer of the copy merges it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from tieout.contracts import Transaction
from tieout.errors import InvalidParams, TieoutError
from tieout.identity import fingerprint
from tieout.messages import Inbox
from tieout.mirror.answers import read_answer
from tieout.mirror.doubts import EVERY, Doubts
from tieout.mirror.observed import Observed, encode
from tieout.mirror.pushed import Change, Pushed, Received, read_json
from tieout.mirror.store import number
from tieout.mirror.suppliers import Following
from tieout.mirror.words import Garbled, Words

log = logging.getLogger("tieout.mirror")

UNBOUNDED = 0
"""When a change began whose time nobody knows: before anything that was ever observed."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """A change that is sound: its group's number, its cells, and what it says of them; None when it is thin."""

    group: int
    first: int
    cells: int
    observed: Observed | None


class Pushing:
    """Takes in what one supplier pushes, on any node."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.doubts = Doubts(following.world.database.dialect)
        self._inbox = Inbox(following.world.database.dialect)
        self._read: Callable[[bytes], Pushed] = getattr(following.supplier, "pushed", read_json)

    async def push(self, body: bytes, message: str) -> Received:
        """Take a message in, once; it is durable when this returns. Nothing of one that is not sound is used.

        `message` is the sender's id of it. Raise `InvalidParams` or `InvalidJson` for what cannot be read, or a
        `DatabaseError`: then the sender has to repeat it.
        """
        pushed = self.read(body)
        told = self._told(pushed)
        source = f"push:{number(self.following.mirror, self.following.terms.name):x}"
        once = fingerprint(message, body.decode("latin-1")).hex()

        async def work(tx: Transaction) -> Received:
            if not await self._inbox.once(tx, source, once):
                return Received("duplicate")
            return await self._take_in(tx, pushed, told)

        return await self.following.world.database.transact(work)

    def read(self, body: bytes) -> Pushed:
        """A message as the supplier's class reads it, or in our own JSON."""
        try:
            pushed = self._read(body)
        except TieoutError:
            raise
        except Exception as error:
            log.exception("%s: a message cannot be read", self.following.name)
            raise InvalidParams(f"push: this message cannot be read: {type(error).__name__}") from error
        if not isinstance(pushed, Pushed):
            raise InvalidParams(f"push: it was read as {pushed!r:.100}, not as Pushed(...)")
        return pushed

    async def _take_in(self, tx: Transaction, pushed: Pushed, told: list[Told]) -> Received:
        copy, store, ignored = self.following.number, self.following.world.store, 0
        has_gap = False
        if pushed.sequence is not None and await self.doubts.advance(tx, copy, pushed.stream, pushed.sequence):
            has_gap = True
            await self._doubt_all(tx, pushed.stream)
        known: dict[int, bool] = {}
        for group, first, cells, observed in told:
            if group not in known:
                known[group] = await self.doubts.has_group(tx, copy, group)
            if not known[group]:
                ignored += 1
            elif observed is None:
                await self.doubts.add(tx, copy, group, first, cells)
            else:
                await store.post(tx, copy, uuid4().bytes, encode(observed))
        return Received("accepted", len(told) - ignored, ignored, has_gap)

    async def _doubt_all(self, tx: Transaction, stream: str) -> None:
        axis, now = self.following.layout.axis, self.following.moments.earliest()
        first = axis.first(now, self.following.terms.zone, self.following.terms.rollover)
        group = (
            number(stream)
            if stream and await self.doubts.has_group(tx, self.following.number, number(stream))
            else EVERY
        )
        # Of days that begin earlier or later elsewhere, one on either side.
        around = 0 if axis.kind == "one" else 1
        await self.doubts.add(tx, self.following.number, group, first - around, axis.count + 2 * around)

    def _told(self, pushed: Pushed) -> list[Told]:
        start, end = self._interval(pushed.at)
        return [self._change(change, start, end) for change in pushed.changes]

    def _change(self, change: Change, start: int, end: int) -> Told:
        layout = self.following.layout
        first, group = layout.axis.read(change.first), number(change.group)
        if abs(first) >= 1 << 31:
            raise InvalidParams(f"push: {change.first} is too far off")
        if change.kind == "thin":
            if change.items:
                raise InvalidParams(f"push: the thin change of {change.group!r} has items: is it full, or a delta?")
            return Told(group, first, change.count, None)
        is_full = change.kind == "full"
        try:
            read_answer(layout, Words({}), change.items, change.count, partial=not is_full)
        except Garbled as error:
            raise InvalidParams(f"push: {change.group}: {error}") from error
        observed = Observed(
            change.group, first, change.count, start, end, change.items, "push", complete=is_full, whole=is_full
        )
        return Told(group, first, change.count, observed)

    def _interval(self, at: datetime | None) -> tuple[int, int]:
        """Between which two moments of the server's a change was true that happened at `at` by the sender's clock."""
        end, skew = self.following.moments.latest(), self.following.terms.skew
        if at is None:
            return UNBOUNDED, end
        start = (at - EPOCH) // timedelta(microseconds=1) - skew
        # A time to come is no time of an event: that clock cannot be trusted at all.
        return (UNBOUNDED if start > end else max(start, UNBOUNDED)), end
