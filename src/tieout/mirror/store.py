"""Copies of suppliers' data in the user's database: one typed function for each statement.

`copy` is the number of one mirror's copy of one supplier; groups and items have numbers of their own within it. All
three are hashes of names, so that nobody has to hand them out. Times are the server's, in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.identity import fingerprint


class CopyRow(NamedTuple):
    """What is known of a copy: how its rows are packed, and when its catalogue was read last (0: never).

    `has_mail` tells that observations of other nodes wait for its writer, `has_doubts` that cells are doubtful,
    `has_choices` that groups are boosted or excluded.
    """

    layout: str
    paused: bool
    catalogued: int
    now: int
    has_mail: bool
    has_doubts: bool
    has_choices: bool


class GroupRow(msgspec.Struct, frozen=True, gc=False):
    """A group; `gone` is since when the catalogue has it no more."""

    n: int
    name: str
    zone: str | None
    rollover: int | None
    checks: bytes
    gone: int | None


class ItemName(msgspec.Struct, frozen=True, gc=False):
    """An item and its group, without its cells; of hundreds of thousands, so that no collector goes through them."""

    group: int
    n: int
    name: str
    gone: int | None


class ItemRow(NamedTuple):
    """An item as readers need it, with its group's check times, how its day ends, and the version of its words."""

    cells: bytes
    group: str
    zone: str | None
    rollover: int | None
    checks: bytes
    version: str | None
    now: int


class Suspect(NamedTuple):
    """A cell that is known to be doubtful."""

    item: int
    position: int
    since: int


def number(*names: str) -> int:
    """The number of what these names mean: 63 bits of their fingerprint."""
    return int.from_bytes(fingerprint(*names)[:8], "big") >> 1


class MirrorStore:
    """Copies over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def add_copy(self, tx: Transaction, copy: int, mirror: str, supplier: str, layout: str) -> None:
        """Make a copy known; one that is there is left as it is."""
        await tx.execute(self.sql.add_copy, copy=copy, mirror=mirror, supplier=supplier, layout=layout)

    async def read_copies(self, tx: Transaction, copies: Sequence[int]) -> dict[int, CopyRow]:
        """What is known of some copies, by number, and the server's time; of those that there are."""
        rows = await tx.fetch(self.sql.read_copies, copies=copies)
        return {row[0]: CopyRow(row[1], bool(row[2]), row[3], row[4], *map(bool, row[5:])) for row in rows}

    async def pause(self, tx: Transaction, copy: int, *, paused: bool) -> bool:
        """Stop asking its supplier, or go on; False when there is no such copy."""
        return await tx.execute(self.sql.pause_copy, copy=copy, paused=int(paused)) == 1

    async def note_catalogue(self, tx: Transaction, copy: int) -> None:
        """Note that the catalogue was read and stored now."""
        await tx.execute(self.sql.note_catalogue, copy=copy)

    async def groups(self, tx: Transaction, copy: int) -> list[GroupRow]:
        """All groups, those that are gone included."""
        rows = await tx.fetch(self.sql.groups, copy=copy)
        return [GroupRow(n, bytes(name).decode(), *rest) for n, name, *rest in rows]

    async def items(self, tx: Transaction, copy: int) -> list[ItemName]:
        """All items, those that are gone included."""
        rows = await tx.fetch(self.sql.items, copy=copy)
        return [ItemName(group, n, bytes(name).decode(), gone) for group, n, name, gone in rows]

    async def add_groups(self, tx: Transaction, copy: int, groups: Iterable[GroupRow]) -> None:
        """Store new groups."""
        await tx.execute_many(
            self.sql.add_group,
            [
                {
                    "copy": copy,
                    "n": group.n,
                    "name": group.name.encode(),
                    "zone": group.zone,
                    "rollover": group.rollover,
                    "checks": group.checks,
                }
                for group in groups
            ],
        )

    async def change_groups(self, tx: Transaction, copy: int, groups: Iterable[GroupRow]) -> None:
        """Store how the days of groups end, and that they are there."""
        await tx.execute_many(
            self.sql.change_group,
            [{"copy": copy, "n": one.n, "zone": one.zone, "rollover": one.rollover} for one in groups],
        )

    async def remove_groups(self, tx: Transaction, copy: int, groups: Iterable[int]) -> None:
        """Note that the catalogue has these groups no more."""
        await tx.execute_many(self.sql.remove_group, [{"copy": copy, "n": n} for n in groups])

    async def write_checks(self, tx: Transaction, copy: int, checks: Iterable[tuple[int, bytes]]) -> None:
        """Store when the cells of groups were checked."""
        await tx.execute_many(self.sql.write_checks, [{"copy": copy, "n": n, "checks": row} for n, row in checks])

    async def add_items(self, tx: Transaction, copy: int, items: Iterable[ItemName], cells: bytes) -> None:
        """Store new items, all with the same cells."""
        await tx.execute_many(
            self.sql.add_item,
            [{"copy": copy, "grp": one.group, "n": one.n, "name": one.name.encode(), "cells": cells} for one in items],
        )

    async def bring_items(self, tx: Transaction, copy: int, items: Iterable[ItemName], cells: bytes) -> None:
        """Store that items are there (again), in their group, all with the same cells."""
        await tx.execute_many(
            self.sql.bring_item, [{"copy": copy, "grp": one.group, "n": one.n, "cells": cells} for one in items]
        )

    async def remove_items(self, tx: Transaction, copy: int, items: Iterable[int]) -> None:
        """Note that the catalogue has these items no more."""
        await tx.execute_many(self.sql.remove_item, [{"copy": copy, "n": n} for n in items])

    async def forget_gone(self, tx: Transaction, copy: int, groups: Iterable[int], items: Iterable[int]) -> None:
        """Delete groups and items that the catalogue has no more, and what was counted of these items."""
        gone = list(items)
        await tx.execute_many(self.sql.forget_item, [{"copy": copy, "n": n} for n in gone])
        await tx.execute_many(self.sql.forget_demand, [{"copy": copy, "item": n} for n in gone])
        await tx.execute_many(self.sql.forget_group, [{"copy": copy, "n": n} for n in groups])

    async def cells_of(self, tx: Transaction, copy: int, groups: Sequence[int]) -> list[tuple[int, int, bytes]]:
        """The rows of the items of some groups: of each its group, its number and its cells."""
        rows = await tx.fetch(self.sql.cells_of_groups, copy=copy, groups=groups)
        return [(group, n, bytes(cells)) for group, n, cells in rows]

    async def write_cells(self, tx: Transaction, copy: int, rows: Iterable[tuple[int, int, bytes]]) -> None:
        """Store rows of items, each given as (group, item, row)."""
        await tx.execute_many(
            self.sql.write_cells, [{"copy": copy, "grp": group, "n": n, "cells": cells} for group, n, cells in rows]
        )

    async def read_item(self, tx: Transaction, copy: int, item: int) -> ItemRow | None:
        """One item, unless the catalogue has it no more."""
        row = await tx.fetch_one(self.sql.read_item, copy=copy, n=item)
        if row is None:
            return None
        cells, group, zone, rollover, checks, version, now = row
        return ItemRow(bytes(cells), bytes(group).decode(), zone, rollover, bytes(checks), version, now)

    async def words(self, tx: Transaction, copy: int) -> dict[int, str]:
        """The values of dictionary fields (JSON), by number, and their `VERSION` if there is one."""
        return {row[0]: row[1] for row in await tx.fetch(self.sql.words, copy=copy)}

    async def version_of_words(self, tx: Transaction, copy: int) -> str | None:
        """Their `VERSION` alone."""
        row = await tx.fetch_one(self.sql.version_of_words, copy=copy)
        return None if row is None else row[0]

    async def add_words(self, tx: Transaction, copy: int, words: Iterable[tuple[int, str]]) -> None:
        """Store values of dictionary fields, in place of what had their numbers."""
        await tx.execute_many(self.sql.add_word, [{"copy": copy, "n": n, "value": value} for n, value in words])

    async def add_suspects(self, tx: Transaction, copy: int, cells: Iterable[tuple[int, int]], since: int) -> None:
        """Mark cells, each given as (item, position), as suspect: what is observed from `since` on takes it back."""
        await tx.execute_many(
            self.sql.add_suspect,
            [{"copy": copy, "item": item, "place": position, "since": since} for item, position in cells],
        )

    async def standing(self, tx: Transaction, copy: int) -> tuple[int, list[Suspect]]:
        """The number of a copy's last sighting (0: none), and all its suspect cells."""
        rows = await tx.fetch(self.sql.standing, copy=copy)
        head = int(rows[0][0]) if rows else 0
        return head, [Suspect(item, place, since) for _, item, place, since in rows if item is not None]

    async def clear_suspects(self, tx: Transaction, copy: int, suspects: Iterable[Suspect]) -> None:
        """Take marks back, as they were read; a cell that was marked anew meanwhile stays so."""
        await tx.execute_many(
            self.sql.clear_suspect,
            [{"copy": copy, "item": one.item, "place": one.position, "since": one.since} for one in suspects],
        )

    async def post(self, tx: Transaction, copy: int, message: bytes, body: bytes) -> None:
        """Leave an observation for whoever writes this copy."""
        await tx.execute(self.sql.post, copy=copy, id=message, body=body)

    async def posted(self, tx: Transaction, copy: int, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """Observations that were left, the oldest first: their ids and bodies."""
        rows = await tx.fetch(self.sql.posted, copy=copy, limit=limit)
        return [(bytes(message), bytes(body)) for message, body in rows]

    async def take_out(self, tx: Transaction, copy: int, messages: Iterable[bytes]) -> None:
        """Forget observations that are merged in this transaction."""
        await tx.execute_many(self.sql.take_out, [{"copy": copy, "id": message} for message in messages])
