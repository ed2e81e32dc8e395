"""Fields of a cell: how each is stored, what its absence means, and what a stay of several cells makes of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from tieout.errors import DefinitionError

Kind: TypeAlias = Literal["money", "int16", "flag", "dictionary"]
Fold: TypeAlias = Literal["sum", "min", "max", "all", "any", "at_first", "at_end", "by_length"]

FOLDS: dict[Kind, frozenset[str]] = {
    "money": frozenset({"sum", "min", "max", "at_first", "at_end"}),
    "int16": frozenset({"sum", "min", "max", "at_first", "at_end"}),
    "flag": frozenset({"all", "any", "at_first", "at_end"}),
    "dictionary": frozenset({"at_first", "at_end", "by_length"}),
}


class Field(msgspec.Struct, frozen=True):
    """One field of every cell.

    `bounds` are the least and the greatest number that is stored; `absent` is what it becomes when a complete answer
    does not have the cell; None leaves it as it was.
    """

    kind: Kind
    fold: Fold
    bounds: tuple[int, int]
    absent: int | None = None

    @property
    def stored(self) -> str:
        """How numpy keeps its numbers: little-endian, as wide as its bounds; a flag is one bit."""
        if self.kind == "flag":
            return "?"
        if self.kind == "dictionary":
            return "<u2"
        if self.kind == "int16":
            return "<i2"
        return "<i8" if self.bounds[1] >= 1 << 31 else "<i4"


def money(fold: Fold = "sum", *, wide: bool = False, absent: int | None = None) -> Field:
    """An amount in whole minor units of the supplier's currency: up to 21 million of 2 decimals, more when `wide`."""
    limit = (1 << 63 if wide else 1 << 31) - 1
    return _checked(Field("money", fold, (-limit, limit), absent))


def int16(fold: Fold = "min", *, absent: int | None = None) -> Field:
    """A small whole number, such as rooms that are left."""
    return _checked(Field("int16", fold, (-(1 << 15), (1 << 15) - 1), absent))


def flag(fold: Fold = "all", *, absent: bool | None = False) -> Field:
    """Yes or no; no when a complete answer does not have the cell, unless `absent` says otherwise."""
    return _checked(Field("flag", fold, (0, 1), None if absent is None else int(absent)))


def dictionary(fold: Fold = "at_first") -> Field:
    """Any JSON value of which there are few (65,535 in all), such as rules: each is stored once and named by number.

    With `by_length` it is a list of prices by length of stay, of which a stay takes its own: the first for one night.
    """
    return _checked(Field("dictionary", fold, (0, (1 << 16) - 1)))


def check_fields(fields: dict[str, Any]) -> dict[str, Field]:
    """The fields of a definition; raise `DefinitionError` for what is none."""
    if not fields:
        raise DefinitionError("a mirror has at least one field")
    for name, field in fields.items():
        if not isinstance(field, Field):
            raise DefinitionError(f"{name}: {field!r:.100} is no field: use money(), int16(), flag() or dictionary()")
        if not name.isidentifier():
            raise DefinitionError(f"{name!r} cannot be the name of a field")
    if all(field.absent is None for field in fields.values()):
        raise DefinitionError("no field says what absence means: add a flag(), or give one absent=")
    return fields


def _checked(field: Field) -> Field:
    if field.fold not in FOLDS[field.kind]:
        raise DefinitionError(
            f"{field.kind} cannot be folded by {field.fold!r}: {', '.join(sorted(FOLDS[field.kind]))}"
        )
    if field.absent is not None and not field.bounds[0] <= field.absent <= field.bounds[1]:
        raise DefinitionError(f"{field.absent!r} does not fit a {field.kind} field")
    return field
