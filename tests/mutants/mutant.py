"""What a mutant is: one guard taken out, and the tests that are named for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tieout"


class Mutant(NamedTuple):
    """`old`, which stands once in `file` (below src/tieout), replaced by `new`.

    Every one of `tests` (below tests/, as pytest names them) has to fail on it; `on` narrows them as pytest's -k does.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    on: str = ""

    def applied(self, source: str) -> str:
        """The source without its guard; raise `ValueError` when the guard is not where it was."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text stands {source.count(self.old)} times in {self.file}")
        return source.replace(self.old, self.new)


def mutant(name: str, file: str, old: str, new: str, *tests: str, on: str = "") -> Mutant:
    """A mutant, its tests one behind the other."""
    return Mutant(name, file, old, new, tests, on)
