"""What persons chose for groups: to ask for them more often, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from tieout.contracts import Transaction
from tieout.database.query import load

Choice: TypeAlias = Literal["boost", "exclude"]

FOREVER = 1 << 62
"""Microseconds that a choice lasts which has no end."""


class Chosen(NamedTuple):
    """A choice for a group, and until when it holds."""

    kind: Choice
    until: int


class Choices:
    """Choices over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def choose(self, tx: Transaction, copy: int, group: int, kind: Choice, seconds: float | None) -> None:
        """Choose for a group, for so many seconds or until it is chosen otherwise."""
        lasts = FOREVER if seconds is None else round(seconds * 1_000_000)
        await tx.execute(self.sql.add_choice, copy=copy, grp=group, kind=kind, lasts=lasts)

    async def drop(self, tx: Transaction, copy: int, group: int) -> None:
        """Treat a group as every other one."""
        await tx.execute(self.sql.drop_choice, copy=copy, grp=group)

    async def all(self, tx: Transaction, copy: int) -> Mapping[int, Chosen]:
        """The choices of a copy that hold now, by group."""
        return {group: Chosen(kind, until) for group, kind, until in await tx.fetch(self.sql.choices, copy=copy)}
