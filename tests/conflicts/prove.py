"""Plant 100,000 contradictions among a million processes: `python -m tests.conflicts.prove`.

Each seed is one database with 1,000 planted and 10,000 clean processes: more seeds are more of the proof, and other
seeds add to what was run before. Fails when a contradiction is not told exactly once with both claims, when anything
else is told, and when some kind of pair, some moment or some two ways were never planted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence

from tests.conflicts.batch import Tally, carried_out
from tests.conflicts.plan import AGREEMENTS, CONTRADICTIONS, MOMENTS, WAYS
from tests.prove.telling import Told, tell

PLANTED, CLEAN = 1_000, 10_000
"""Processes of one seed."""

SMALL = 3
"""Seeds of a small run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    began, whole, interrupted = time.monotonic(), Tally(), False
    count = min(SMALL, options.seeds) if options.small else options.seeds
    seeds = range(options.seed, options.seed + count)
    try:
        for one in shared_out(seeds, options.jobs):
            whole.add(one)
            show_progress(whole, count, time.monotonic() - began)
    except KeyboardInterrupt:
        interrupted = True
    counts = {"planted": whole.planted, "clean": whole.clean, **whole.counts}
    seconds = time.monotonic() - began
    return tell(Told("conflicts", counts, never(whole), whole.violations, list(seeds), seconds, interrupted))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=100, help="how many; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="the first one; default %(default)s")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time; default: one a core")
    parser.add_argument("--small", action="store_true", help=f"at most {SMALL} seeds")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def come_to(seed: int) -> Tally:
    """Carry out one plan here."""
    return asyncio.run(carried_out(seed, PLANTED, CLEAN))


def shared_out(seeds: range, jobs: int) -> Iterator[Tally]:
    """Carry out the plans, so many at a time; what each came to, in any order."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(come_to, seeds)


def never(tally: Tally) -> list[str]:
    """What was never planted."""
    pairs = [f"{first} and {second}" for first in WAYS for second in WAYS]
    wanted = [*CONTRADICTIONS, *AGREEMENTS, *(f"second claim {moment}" for moment in MOMENTS), *pairs]
    return [name for name in wanted if not tally.counts[name]]


def show_progress(whole: Tally, seeds: int, seconds: float) -> None:
    """How far it is."""
    processes = whole.planted + whole.clean
    line = f"{whole.planted:>7} planted of {seeds * PLANTED}, {processes / max(seconds, 1e-9):.0f} processes/s"
    print(f"{line}, {len(whole.violations)} violations", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
