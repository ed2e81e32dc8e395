"""What feeds tell: transactions with their changes, and heartbeats; a transaction's net effect. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

Row: TypeAlias = Mapping[str, str | None]
"""A row by column, as the texts that its database writes."""


class Position(msgspec.Struct, frozen=True):
    """How far a feed was read: up to a place in the log of one server's cluster, on one timeline of it."""

    system: str
    timeline: int
    place: int


class Change(NamedTuple):
    """One row changed: there is no `before` where it was inserted, and no `after` where it was deleted."""

    table: str
    before: Row | None
    after: Row | None


class Committed(NamedTuple):
    """A transaction, in the order of commits. `at` is when it was committed, in the server's microseconds."""

    position: Position
    at: int
    changes: tuple[Change, ...]


class Heartbeat(NamedTuple):
    """A beat that this feed had sent: all that was committed before `at` has been told, the source only being quiet."""

    position: Position
    at: int


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
