"""Cut the power of a loaded App ten thousand times: `python -m tests.disk.prove`.

Each seed is one recorded load and 250 cuts; more seeds are more of the proof. Fails when anything accepted is lost,
anything is torn or does not end, when some kind of moment was never met, and when a wrong engine is not found out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from tests.disk.cuts import Tally
from tests.disk.plans import CUTS, WRONG, found_out, never, plan, shared_out
from tests.prove.telling import Told, tell

CONTROL_CUTS = 40

SMALL = 1_000
"""Cuts of a small run."""

WHOLE = 8
"""Seeds from which on a run has to have met everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    began = time.monotonic()
    cuts = min(SMALL, options.cuts) if options.small else options.cuts
    seeds = range(options.seed, options.seed + max(1, round(cuts / CUTS)))
    whole, caught, interrupted = Tally(), dict.fromkeys(WRONG, 0), False
    try:
        for one in shared_out([plan(seed) for seed in seeds], options.jobs):
            whole.add(one)
            show_progress(whole, len(seeds) * CUTS, time.monotonic() - began)
        for engine in WRONG:
            caught[engine] = asyncio.run(found_out(engine, CONTROL_CUTS))
            print(f"an engine that {WRONG[engine]}: {caught[engine]} violations", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    missing = never(whole, whole=len(seeds) >= WHOLE)
    missing += [f"an engine that {WRONG[engine]} being found out" for engine, count in caught.items() if not count]
    counts = {"power cuts": whole.cuts, **whole.counts}
    more = {"wrong_engines": caught}
    seconds = time.monotonic() - began
    return tell(Told("disk", counts, missing, whole.violations, list(seeds), seconds, interrupted, more))


def show_progress(whole: Tally, cuts: int, seconds: float) -> None:
    """How far it is."""
    rate = whole.cuts / max(seconds, 1e-9)
    line = f"{whole.cuts:>7} of {cuts} power cuts, {rate:.1f}/s, {len(whole.violations)} violations"
    print(line, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cuts", type=int, default=10_000, help="how many; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; default %(default)s")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time; default: one a core")
    parser.add_argument("--small", action="store_true", help=f"at most {SMALL}")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
