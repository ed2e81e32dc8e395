"""Run many schedules of both sides followed, and say what they came to: `python -m tests.recon_simulation.prove`.

Fails when a schedule is violated, and also when some fault or rare state never came. A violation prints its seed;
`--replay SEED` runs that one schedule again and tells all that happens in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.prove.telling import Told, tell
from tests.recon_simulation.mutants import MUTANTS
from tests.recon_simulation.runs import Tally, run, shared_out

WHOLE = 3_000
SMALL = 200
"""Schedules: enough for every fault and rare state to come many times, and just enough for each to come."""

CAUGHT_WITHIN = 150
"""Seeds of which one at least has to catch each wrong engine."""

TELL_EVERY = 10.0
"""Seconds between two lines of progress."""

SHOWN_SEEDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    if options.replay is not None:
        return replay(options.replay, options.mutant)
    schedules = options.schedules or (SMALL if options.small else WHOLE)
    began, whole, interrupted = time.monotonic(), Tally(), False
    caught: dict[str, int] = {}
    try:
        whole = run_all(options, schedules, began)
        if not options.mutant:
            caught = {name: first_catch(name, options) for name in MUTANTS[1:]}
    except KeyboardInterrupt:
        interrupted = True
    return tell(summary(whole, caught, time.monotonic() - began, interrupted=interrupted))


def run_all(options: argparse.Namespace, schedules: int, began: float) -> Tally:
    """Run the schedules; their tally."""
    told, whole = 0.0, Tally()
    for whole in shared_out(range(options.seed, options.seed + schedules), options.jobs, options.mutant):
        seconds = time.monotonic() - began
        if seconds > told + TELL_EVERY or whole.schedules == schedules:
            told = seconds
            line = f"{whole.schedules:>8} of {schedules} schedules, {len(whole.violations)} violated, {seconds:.0f} s"
            print(line, file=sys.stderr, flush=True)
    return whole


def first_catch(mutant: str, options: argparse.Namespace) -> int:
    """How many seeds it took until one caught a wrong engine; -1 when none did."""
    for tried, seed in enumerate(range(options.seed, options.seed + CAUGHT_WITHIN), 1):
        if run(seed, mutant).violations:
            print(f"{mutant}: caught by seed {seed}", file=sys.stderr, flush=True)
            return tried
    return -1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--schedules", type=int, help=f"how many; default {WHOLE}")
    parser.add_argument("--small", action="store_true", help=f"{SMALL} schedules, unless it is said how many")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; default %(default)s")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run this one schedule and tell what happens in it")
    parser.add_argument("--mutant", choices=[*MUTANTS], default="", help="an engine that is wrong on purpose")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def replay(seed: int, mutant: str) -> int:
    """Run one schedule and tell what happens in it."""
    tally = run(seed, mutant, trace=print)
    for violation in tally.violations.get(seed, ()):
        print(f"VIOLATED  {violation}")
    return 1 if tally.violations else 0


def summary(whole: Tally, caught: dict[str, int], seconds: float, *, interrupted: bool) -> Told:
    """The last line."""
    counts = {"schedules": whole.schedules, "violated": len(whole.violations), "looks": whole.looks}
    counts |= {name: whole.counts[name] for name in sorted(whole.counts)}
    counts["wrong engines caught"] = sum(tried > 0 for tried in caught.values())
    never = whole.missing() + [f"catching {name}" for name, tried in caught.items() if tried < 0]
    seeds = sorted(whole.violations)
    violations = [f"seed {seed}: {what}" for seed in seeds for what in whole.violations[seed]]
    more = {"seeds_until_caught": caught}
    return Told("recon_simulation", counts, never, violations, seeds[:SHOWN_SEEDS], seconds, interrupted, more)


if __name__ == "__main__":
    sys.exit(main())
