"""What every feed tells, and how it is asked: transactions, heartbeats, places to go on from; a net effect. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from tieout.errors import FeedGap

Row: TypeAlias = Mapping[str, str | None]
"""A row by column, as texts: those of its database, in UTC where they are moments, `\\x` and hex digits where bytes."""

Tables: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]]
"""The tables of a feed; as a mapping, with the columns of each that are to be told."""

TAKEN = 10_000
"""Row changes that are taken at a time at the most, unless one transaction alone has more."""

LARGEST = 1_000_000
"""Row changes of one transaction that a feed holds; a larger one is a gap, since it might fill the memory."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far a feed was read: a place in one history of a source.

    `place` rises with every transaction of a history, and compares with nothing of another history. `resume` is what
    else the feed needs to go on from here. As a checkpoint it is kept as `text()`.
    """

    history: str
    place: int
    resume: str = ""

    def text(self) -> str:
        """The position as one text, which `parse` takes back."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that was written as `text`; raise `FeedGap` when it is none."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise FeedGap(f"the checkpoint {text[:100]!r} is no position: {error}") from error

    def covers(self, other: Position) -> bool:
        """Whether all up to `other` was read when this was reached; False where the two do not compare."""
        return self.history == other.history and self.place >= other.place


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row changed: there is no `before` where it was inserted, and no `after` where it was deleted."""

    table: str
    before: Row | None
    after: Row | None


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A transaction, in the order of commits, with every change that it made to the feed's tables, in their order.

    `at`         when it was committed, in microseconds of the source's clock; not earlier than that, where the source
                 tells it less exactly
    `watermark`  all that was committed before this has been told, this transaction included
    """

    position: Position
    at: int
    changes: tuple[Change, ...]
    watermark: int


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """The source is there, and all that was committed before `at` has been told; also where nothing was."""

    position: Position
    at: int

    @property
    def watermark(self) -> int:
        """All that was committed before this has been told."""
        return self.at


Told: TypeAlias = Committed | Heartbeat


class Feed(Protocol):
    """What a source has committed, in order, each transaction once or again, and none left out.

    One task takes; `beat`, `confirm` and `here` may be called by others meanwhile. After `DatabaseUnavailable` the
    feed is closed and opened again behind the position that was kept last, and what is told twice has a position that
    the one kept `covers`. After `FeedGap` that does not help: something was missed, or cannot be told. The gap goes
    from the position kept last to what `open()` without a position returns, and is compared offline.
    """

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or, without it, with what is committed from now on; return where it begins.

        Raise `ConfigError`, naming the setting, for a source that does not tell whole changes, and `FeedGap` when what
        comes behind `after` cannot be had any more.
        """
        ...

    async def take(self, most: int = TAKEN) -> Sequence[Told]:
        """Wait until there is something, and give what is there, at most about `most` row changes.

        Nothing is lost when it is cancelled. A feed that nobody takes from stops reading; its source keeps the rest.
        """
        ...

    async def beat(self) -> None:
        """Ask for a heartbeat, which `take` tells behind all that was committed before now."""
        ...

    async def confirm(self, position: Position) -> None:
        """Say that everything up to a position is kept for good: the source may forget it."""
        ...

    async def here(self) -> Position:
        """Where the source is now, opened or not: all that was committed before stands at or before it."""
        ...

    async def close(self) -> None:
        """Let go of the source, which keeps what comes meanwhile; twice is harmless."""
        ...


def net(changes: Sequence[Change], keys: Mapping[str, Sequence[str]]) -> list[Change]:
    """What a transaction has done to each row in the end, by its key; a changed key is a delete and an insert.

    `keys` names the key's columns for each table; tables that it does not name are left out.
    """
    firsts: dict[tuple[str, ...], Row | None] = {}
    lasts: dict[tuple[str, ...], Row | None] = {}
    for change in changes:
        columns = keys.get(change.table)
        if columns is None:
            continue
        ours, theirs = (_identity(change.table, row, columns) for row in (change.before, change.after))
        if ours is not None:
            firsts.setdefault(ours, change.before)
            lasts[ours] = None
        if theirs is not None:
            firsts.setdefault(theirs, None)
            lasts[theirs] = change.after
    return [Change(key[0], before, lasts[key]) for key, before in firsts.items() if before != lasts[key]]


def _identity(table: str, row: Row | None, columns: Sequence[str]) -> tuple[str, ...] | None:
    """A row's key behind its table; each part says whether it is NULL."""
    if row is None:
        return None
    return (table, *("0" if row[column] is None else f"1{row[column]}" for column in columns))
