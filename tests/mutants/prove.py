"""Take out one guard at a time, and see that the tests that are named for it fail; with all guards, that none does."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from random import Random

from tests.mutants import (
    access_mutants,
    calling_mutants,
    message_mutants,
    mirror_mutants,
    moving_mutants,
    other_mutants,
    recon_mutants,
)
from tests.mutants.mutant import Mutant
from tests.mutants.running import sound, together
from tests.prove.telling import Told, tell

MUTANTS = (
    *calling_mutants.MUTANTS,
    *moving_mutants.MUTANTS,
    *mirror_mutants.MUTANTS,
    *message_mutants.MUTANTS,
    *recon_mutants.MUTANTS,
    *other_mutants.MUTANTS,
    *access_mutants.MUTANTS,
)
SMALL = 8
"""Mutants of a small run, drawn by its seed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    options = parse(arguments)
    return tell(tried(chosen(options.mutants, options.seed, small=options.small), options.jobs, options.seed))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help=f"{SMALL} of them")
    parser.add_argument("--seed", type=int, default=0, help="draws those of a small run")
    parser.add_argument("--mutants", nargs="+", choices=[one.name for one in MUTANTS], metavar="NAME", default=())
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def chosen(names: Sequence[str], seed: int, *, small: bool) -> list[Mutant]:
    """Those that are named, else all of them, or as many as a small run takes."""
    mutants = [one for one in MUTANTS if not names or one.name in names]
    return Random(seed).sample(mutants, min(SMALL, len(mutants))) if small else mutants


def tried(mutants: Sequence[Mutant], jobs: int, seed: int) -> Told:
    """The last line: a survivor, and a test that fails without a mutant, are violations."""
    began = time.monotonic()
    counts = {"mutants": 0, "caught": 0, "survived": 0, "tests run": 0}
    violations: list[str] = []
    interrupted = False
    try:
        counts["tests without a mutant"], violations = sound(mutants)
        for outcome in together(mutants, jobs):
            counts["mutants"] += 1
            counts["survived" if outcome.survived else "caught"] += 1
            counts["tests run"] += outcome.tests
            violations += [outcome.survived] if outcome.survived else []
            word = "SURVIVED" if outcome.survived else "caught"
            line = f"{counts['mutants']:>4} of {len(mutants)}, {time.monotonic() - began:5.0f} s: {word}: "
            print(f"{line}{outcome.mutant.name}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    return Told("mutants", counts, [], violations, [seed], time.monotonic() - began, interrupted)


if __name__ == "__main__":
    sys.exit(main())
