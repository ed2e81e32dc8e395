"""One item's stay, folded: plain values for people, from cells of a copy or from an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import Layout
from tieout.mirror.fields import Fold
from tieout.mirror.stay import of_length, rests_on

_FOLDS: Mapping[str, Callable[[list[Any]], Any]] = {"sum": sum, "min": min, "max": max, "all": all, "any": any}


def cells_of_stay(layout: Layout, nights: int) -> int:
    """How many cells a stay rests on: its nights, and the day of departure when a field is folded at its end."""
    return nights + any(field.fold == "at_end" for field in layout.fields.values())


def fold_stay(
    layout: Layout, cells: Mapping[str, NDArray[Any]], nights: int, words: Mapping[int, str]
) -> dict[str, Any]:
    """Each field of a stay; `cells` has one row of `nights` + 1 values for each field. A word that is 0 is None."""
    values: dict[str, Any] = {}
    for name, field in layout.fields.items():
        value = _fold(field.fold, cells[name].tolist())
        if field.kind == "dictionary":
            value = msgspec.json.decode(words[value]) if value else None
        values[name] = of_length(value, nights) if field.fold == "by_length" else value
    return values


def _fold(how: Fold, values: list[Any]) -> Any:
    """One field of one stay, as `stay.fold` folds many."""
    match how:
        case "at_first" | "by_length":
            return values[0]
        case "at_end":
            return values[-1]
        case _:
            return _FOLDS[how](values[:-1])


def is_known(layout: Layout, known: NDArray[np.bool_], nights: int) -> bool:
    """Whether all cells are known that a stay rests on; `known` has `nights` + 1 of them."""
    return bool(known[rests_on(layout.fields, nights)].all())


def words_of(layout: Layout, cells: Mapping[str, NDArray[Any]]) -> set[int]:
    """The numbers of the words that some cells name."""
    return {number for name, _ in _dictionaries(layout) for number in cells[name].tolist()} - {0}


def _dictionaries(layout: Layout) -> list[tuple[str, Any]]:
    return [(name, field) for name, field in layout.fields.items() if field.kind == "dictionary"]
