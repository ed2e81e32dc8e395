"""What suppliers said last, by digest: where one says the same again, no cells need be read and compared."""

from __future__ import annotations

from typing import Any

from tieout.mirror.observed import Observed
from tieout.mirror.packed import UNENCODABLE, Packed, encoded


class Digests:
    """Of each unit that a copy's only writer has merged, the digest of its answer.

    What is here is what the rows say: for all cells of the unit, all of them known, none with a time of its own.
    """

    def __init__(self) -> None:
        self._of_groups: dict[str, dict[tuple[int, int], int]] = {}

    def expected(self, observed: Observed) -> int | None:
        """The digest of an answer that says what the rows say; None where that is not known: any answer is news."""
        units = self._of_groups.get(observed.group)
        return None if units is None else units.get((observed.first, observed.count))

    def clear(self) -> None:
        """Know nothing at all."""
        self._of_groups.clear()

    def forget(self, observed: Observed) -> None:
        """Know nothing of the units that these cells are in: their rows are about to be written."""
        first, end = observed.first, observed.first + observed.count
        units = self._of_groups.get(observed.group, {})
        for unit in [unit for unit in units if unit[0] < end and sum(unit) > first]:
            del units[unit]

    def learn(self, observed: Observed, digest: int, base: int) -> None:
        """The rows say what this answer says; `base` is the first position of its group that is not over."""
        units = self._of_groups.setdefault(observed.group, {})
        for unit in [unit for unit in units if sum(unit) <= base]:
            del units[unit]
        units[observed.first, observed.count] = digest


def digest_of(observed: Observed) -> int | None:
    """The digest of an answer about all cells of a group; None for what is less, or cannot be encoded."""
    if not (observed.whole and observed.complete):
        return None
    items: Any = observed.items
    try:
        return hash(items.body if type(items) is Packed else encoded(items))
    except UNENCODABLE:
        return None
