"""What readers are given: the copy's word for a stay, or the supplier's, and how the two differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

Difference: TypeAlias = Literal["price-up", "price-down", "sold-out", "opened", "changed", "unknown"]
"""How the supplier's word for a stay differs from the copy's; unknown: the copy had none."""

Unavailable: TypeAlias = Literal["budget", "timeout", "error"]
"""Why the supplier could not be asked for an order: no token or slot in time, no answer in time, or an error."""


class Offer(msgspec.Struct, frozen=True):
    """What the copy says of a stay.

    `values` has each field, folded over the stay, or None when not all of it is known. `age` is how many seconds ago
    the oldest of its cells was observed; `p_true` how likely it is still true; `suspect` tells that a cell is doubtful.
    """

    values: Mapping[str, Any] | None
    age: float | None
    p_true: float
    suspect: bool
    source: Literal["group", "item"] | None


def likely(age: float | None, half_life: float, *, suspect: bool) -> float:
    """How likely a value is still true: halved with every half-life, and a coin's throw at best when doubtful.

    So it is when changes come at a constant rate: a value of age t holds with the probability exp(-rate * t).
    """
    if age is None:
        return 0.0
    still: float = 0.5 ** (age / half_life)
    return min(still, 0.5) if suspect else still


class ItemCell(msgspec.Struct, frozen=True):
    """One cell: where it stands, its fields or None when it is not known, its age in seconds, whether it is suspect."""

    at: Any
    values: Mapping[str, Any] | None
    age: float | None
    suspect: bool


class ItemCells(msgspec.Struct, frozen=True):
    """All open cells of an item, in order."""

    supplier: str
    group: str
    item: str
    cells: Sequence[ItemCell]


class Truth(msgspec.Struct, frozen=True):
    """What the supplier says of a stay, for an order, and how the copy differed from it.

    `values` is None when the supplier could not be asked (`unavailable` says why: the outcome is unknown), or says
    that the stay cannot be had.
    """

    values: Mapping[str, Any] | None
    differs: frozenset[Difference] = frozenset()
    unavailable: Unavailable | None = None
