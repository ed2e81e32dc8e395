"""What suppliers said last, by digest: where one says the same again, no cells need be read and compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from tieout.mirror.observed import Observed
from tieout.mirror.packed import UNENCODABLE, Packed, encoded

Told: TypeAlias = tuple[Observed, int | None]
"""An observation, and the digest of its answer if that can be known by one."""


class Digests:
    """Of each unit that a copy's only writer has merged, the digest of its answer.

    What is here is what the rows say: for all cells of the unit, all of them known, none with a time of its own.
    """

    def __init__(self) -> None:
        self._of_groups: dict[str, dict[tuple[int, int], int]] = {}

    def look_up(self, group: str, observed: Iterable[Observed]) -> tuple[list[Told], bool]:
        """Observations of a group, with digests where one is known, and whether the rows say what all of them say."""
        units, is_known = self._of_groups.get(group, {}), True
        told: list[Told] = []
        for one in observed:
            expected = units.get((one.first, one.count))
            digest = None if expected is None else digest_of(one)
            is_known = is_known and digest is not None and digest == expected
            told.append((one, digest))
        return told, is_known

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
