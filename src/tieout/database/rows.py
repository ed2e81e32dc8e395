"""Rows of drivers that give plain tuples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

KINDS = 200
"""Kinds of rows that are remembered."""


class NamedRow(tuple[Any, ...]):
    """A row: by position, by column name, or unpacked."""

    __slots__ = ()
    columns: ClassVar[Mapping[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.columns[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.columns)


@lru_cache(maxsize=KINDS)
def row_kind(names: tuple[str, ...]) -> type[NamedRow]:
    """The class of rows with these columns; of a name that comes twice, the first counts."""
    columns: dict[str, int] = {}
    for place, name in enumerate(names):
        columns.setdefault(name, place)
    return type("Row", (NamedRow,), {"__slots__": (), "columns": columns})
