"""Stays: some cells in a row of one item, folded to one value for each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import Bools
from tieout.mirror.fields import Field

_NUMBERS: Mapping[str, Callable[[NDArray[Any]], Any]] = {
    "sum": lambda values: values.sum(axis=1, dtype=np.int64),
    "min": lambda values: values.min(axis=1),
    "max": lambda values: values.max(axis=1),
    "all": lambda values: values.all(axis=1),
    "any": lambda values: values.any(axis=1),
}


def fold(field: Field, values: NDArray[Any]) -> NDArray[Any]:
    """A field of stays: `values` has shape (n, nights + 1), the last column being the day of departure."""
    match field.fold:
        case "at_first" | "by_length":
            return values[:, 0]
        case "at_end":
            return values[:, -1]
        case how:
            folded: NDArray[Any] = np.asarray(_NUMBERS[how](values[:, :-1]))
            return folded


def needed(field: Field, nights: int) -> slice:
    """Which columns of a stay a field rests on: for an answer to be known these have to be."""
    match field.fold:
        case "at_first" | "by_length":
            return slice(0, 1)
        case "at_end":
            return slice(nights, nights + 1)
        case _:
            return slice(0, nights)


def rests_on(fields: Mapping[str, Field], nights: int) -> Bools:
    """Which of a stay's cells any field rests on; the last is the day of departure."""
    used: Bools = np.zeros(nights + 1, dtype=np.bool_)
    for field in fields.values():
        used[needed(field, nights)] = True
    return used


def of_length(prices: Any, nights: int) -> Any:
    """The value for a stay of so many nights from a table by length of stay; None when it has none."""
    return prices[nights - 1] if isinstance(prices, Sequence) and nights <= len(prices) else None
