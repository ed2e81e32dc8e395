"""What is doubtful in the user's database, and where pushes stand: one typed function for each statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.mirror.store import Suspect

EVERY = -1
"""Stands for all groups of a copy."""


class Doubt(NamedTuple):
    """Cells of a group, or of every one, of which it is only known that they may have changed before `since`."""

    group: int
    first: int
    cells: int
    since: int


class Doubts:
    """Doubts over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def add(self, tx: Transaction, copy: int, group: int, first: int, cells: int) -> None:
        """Doubt some cells of a group until they have been asked for from now on."""
        await tx.execute(self.sql.add_doubt, copy=copy, grp=group, first=first, cells=cells)

    async def all(self, tx: Transaction, copy: int, limit: int) -> list[Doubt]:
        """Doubts of a copy, the oldest first."""
        return [Doubt(*row) for row in await tx.fetch(self.sql.doubts, copy=copy, limit=limit)]

    async def of_item(self, tx: Transaction, copy: int, item: int, first: int, last: int) -> list[Doubt]:
        """Doubts that touch an item's cells from `first` to `last`, suspect cells among them."""
        rows = await tx.fetch(self.sql.doubts_of, copy=copy, item=item, first=first, last=last)
        return [Doubt(EVERY, *row) for row in rows]

    async def suspects(self, tx: Transaction, copy: int, limit: int) -> list[Suspect]:
        """Some of the suspect cells of a copy."""
        return [Suspect(*row) for row in await tx.fetch(self.sql.some_suspects, copy=copy, limit=limit)]

    async def everywhere(
        self, tx: Transaction, limit: int
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int, int]]]:
        """Suspect cells of all copies, as (copy, item, position), and doubts, as (copy, group, first, cells)."""
        suspects = await tx.fetch(self.sql.all_suspects, limit=limit)
        doubts = await tx.fetch(self.sql.all_doubts, limit=limit)
        return [(c, item, at) for c, item, at in suspects], [(c, g, first, cells) for c, g, first, cells in doubts]

    async def clear(self, tx: Transaction, copy: int, doubts: Iterable[Doubt]) -> None:
        """Take doubts back, as they were read; one that was raised anew meanwhile stays."""
        await tx.execute_many(
            self.sql.clear_doubt,
            [
                {"copy": copy, "grp": one.group, "first": one.first, "cells": one.cells, "since": one.since}
                for one in doubts
            ],
        )

    async def has_group(self, tx: Transaction, copy: int, group: int) -> bool:
        """Whether the catalogue has a group."""
        return await tx.fetch_one(self.sql.knows_group, copy=copy, n=group) is not None

    async def advance(self, tx: Transaction, copy: int, stream: str, sequence: int) -> bool:
        """Note that a stream has come to this number; whether numbers were left out before it.

        A number that is not above the last one is a message that comes late, and moves nothing.
        """
        name = stream.encode()
        if await tx.execute(self.sql.add_stream, copy=copy, name=name, last=sequence):
            return False
        while True:
            row = await tx.fetch_one(self.sql.last_of_stream, copy=copy, name=name)
            known = sequence if row is None else int(row[0])
            if sequence <= known:
                return False
            if await tx.execute(self.sql.advance_stream, copy=copy, name=name, last=sequence, known=known):
                return sequence > known + 1
