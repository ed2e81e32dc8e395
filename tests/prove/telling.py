"""What a kind of proof tells on the last line of its output, and whether it held."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

SHOWN = 20
"""Violations that are told; how many there were stands in the counts."""


@dataclass(frozen=True)
class Told:
    """What one kind came to. `never` names what was not reached: with any of it, the run has shown too little.

    `seeds` replay the run, or those parts of it that were violated; `seconds` is how long it took. `more` is what a
    kind tells besides.
    """

    kind: str
    counts: Mapping[str, int]
    never: Sequence[str]
    violations: Sequence[str]
    seeds: Sequence[int]
    seconds: float
    interrupted: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether nothing was violated, and enough was reached."""
        return not (self.violations or self.never or self.interrupted) and any(self.counts.values())

    def document(self) -> dict[str, Any]:
        """The JSON object of the last line."""
        # A Counter would be counted again, by `asdict`.
        told = {**asdict(replace(self, counts=dict(self.counts))), "held": self.held, "seconds": round(self.seconds, 1)}
        told["violations"] = list(self.violations)[:SHOWN]
        return told | told.pop("more")


def tell(told: Told) -> int:
    """Print it, what was wrong on standard error, and JSON last on standard output; the exit status."""
    for violation in told.violations[:SHOWN]:
        print(f"VIOLATED  {violation}", file=sys.stderr)
    if told.never:
        print(f"never reached: {', '.join(told.never)}", file=sys.stderr)
    print(json.dumps(told.document()), flush=True)
    return 0 if told.held else 1
