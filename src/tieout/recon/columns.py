"""Rows of a side by column, which costs a tenth of what each costs as an object. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

from tieout.recon.rules import Record
from tieout.recon.values import all_micros

Key: TypeAlias = tuple[str, ...]
"""The canonical texts of the columns of a key."""

Values: TypeAlias = Sequence[str | None]
"""A column's canonical texts, None where it is NULL."""


class Columns:
    """Rows, whose keys have no NULL: `keys`, the time of each in microseconds, and for each field its `values`."""

    def __init__(self, keys: list[Key], at: list[int | None], values: Sequence[Values]) -> None:
        self.keys, self.at, self.values = keys, at, values

    @cached_property
    def places(self) -> dict[Key, int]:
        """Where the row of a key is, or the last of them."""
        return dict(zip(self.keys, range(len(self.keys)), strict=True))

    @cached_property
    def repeated(self) -> frozenset[Key]:
        """Keys of more than one row."""
        if len(self.places) == len(self.keys):
            return frozenset()
        return frozenset(key for key, times in Counter(self.keys).items() if times > 1)

    @cached_property
    def fields(self) -> list[tuple[str | None, ...]]:
        """The values of each row."""
        return list(zip(*self.values, strict=True)) if self.values else [()] * len(self.keys)

    def record(self, place: int) -> Record:
        """One row."""
        return Record(self.at[place], self.fields[place])

    @cached_property
    def records(self) -> dict[Key, list[Record]]:
        """The rows of each key."""
        found: dict[Key, list[Record]] = {}
        for key, at, values in zip(self.keys, self.at, self.fields, strict=True):
            found.setdefault(key, []).append(Record(at, values))
        return found

    def among(self, keys: set[Key]) -> Columns:
        """The rows with one of these keys; most often these are all."""
        if keys.issuperset(self.keys):
            return self
        there = [place for place, key in enumerate(self.keys) if key in keys]
        values = [[column[place] for place in there] for column in self.values]
        return Columns([self.keys[place] for place in there], [self.at[place] for place in there], values)


def columns_of(texts: Sequence[Values], parts: int) -> Columns:
    """What columns of texts say, of which the first are the `parts` of the key, and the next is the time."""
    keys: list[Any] = list(zip(*texts[:parts], strict=True))
    return Columns(keys, all_micros(texts[parts]), texts[parts + 1 :])


def joined(parts: Sequence[Columns], fields: int) -> Columns:
    """The rows of several of so many fields, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    values = [[one for part in parts for one in part.values[place]] for place in range(fields)]
    return Columns([key for part in parts for key in part.keys], [at for part in parts for at in part.at], values)
