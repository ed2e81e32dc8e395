"""Run many schedules, and say what they came to: `python -m tests.simulation.prove --schedules 100000`.

Fails when a schedule is violated, and also when some fault or rare state never came: a run that was too kind shows
nothing. A violation prints its seed; `--replay SEED` runs that one schedule again and tells all that happens in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence

from tests.prove.telling import Told, tell
from tests.simulation.faults import FAULTS, RARE
from tests.simulation.mutants import MUTANTS
from tests.simulation.runs import Tally, shared_out
from tests.simulation.schedule import run

WHOLE = 100_000
SMALL = 10_000
"""Schedules: enough for every fault and rare state to come many times, and just enough for each to come."""

TELL_EVERY = 5.0
"""Seconds between two lines of progress."""

SHOWN_SEEDS = 20
"""Violated seeds that the last line names."""

SHOWN = 5
"""Violated schedules that are told in full."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    if options.replay is not None:
        return replay(options.replay, options.mutant)
    schedules = options.schedules or (SMALL if options.small else WHOLE)
    whole, seconds, interrupted = run_all(options, schedules)
    if not options.json:
        show(whole)
    show_violations(whole, options.mutant)
    return tell(summary(whole, seconds, options.mutant, interrupted=interrupted))


def run_all(options: argparse.Namespace, schedules: int) -> tuple[Tally, float, bool]:
    """Run the schedules until they are done or a Ctrl-C comes: their tally, the seconds, whether one came."""
    started, told, whole = time.monotonic(), 0.0, Tally()
    seeds = range(options.seed, options.seed + schedules)
    interrupted = False
    try:
        for whole in shared_out(seeds, options.jobs, options.mutant):
            seconds = time.monotonic() - started
            if seconds > told + TELL_EVERY or whole.schedules == schedules:
                told = seconds
                show_progress(whole, schedules, seconds)
    except KeyboardInterrupt:
        interrupted = True
    return whole, time.monotonic() - started, interrupted


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--schedules", type=int, help=f"how many; default {WHOLE}")
    parser.add_argument("--small", action="store_true", help=f"{SMALL} schedules, unless it is said how many")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; default %(default)s")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run this one schedule and tell what happens in it")
    parser.add_argument("--mutant", choices=[*MUTANTS], default="", help="an engine that is wrong on purpose")
    parser.add_argument("--json", action="store_true", help="print the summary only")
    return parser.parse_args(arguments)


def replay(seed: int, mutant: str) -> int:
    """Run one schedule and tell what happens in it."""
    outcome = run(seed, mutant, trace=print)
    for violation in outcome.violations:
        print(f"VIOLATED  {violation}")
    print(json.dumps({"seed": seed, "violations": len(outcome.violations), "turns": outcome.turns}))
    return 1 if outcome.violations else 0


def show_progress(whole: Tally, schedules: int, seconds: float) -> None:
    """How far it is."""
    rate = whole.schedules / max(seconds, 1e-9)
    line = f"{whole.schedules:>8} of {schedules} schedules, {rate:5.0f}/s, {len(whole.violations)} violated"
    print(line, file=sys.stderr, flush=True)


def show(whole: Tally) -> None:
    """How often each fault fired and each rare state was reached."""
    for title, names in (("faults", FAULTS), ("rare states", RARE)):
        print(title)
        for name in names:
            print(f"  {whole.counts[name]:>9}  {name}")
    others = sorted(whole.counts.keys() - {*FAULTS, *RARE})
    print("besides")
    for name in others:
        print(f"  {whole.counts[name]:>9}  {name}")


def show_violations(whole: Tally, mutant: str) -> None:
    """The first violated schedules."""
    for seed, found in sorted(whole.violations.items())[:SHOWN]:
        how = f" --mutant {mutant}" if mutant else ""
        print(f"seed {seed}: python -m tests.simulation.prove{how} --replay {seed}")
        for violation in found:
            print(f"    {violation}")


def summary(whole: Tally, seconds: float, mutant: str, *, interrupted: bool) -> Told:
    """The last line. `ok_rate`: the share of accepted requests' processes that ended without a person's help."""
    ended_by_persons = whole.counts["final by an operator"]
    processes = max(whole.counts["processes"], 1)
    counts = {
        "schedules": whole.schedules,
        "violated": len(whole.violations),
        "processes": whole.counts["processes"],
        "asked": whole.asked,
        "accepted": whole.accepted,
        "final": whole.final,
        "turns": whole.turns,
        **{name: whole.counts[name] for name in (*FAULTS, *RARE)},
    }
    more = {
        "ok_rate": round((whole.final - ended_by_persons) / processes, 4),
        "faults": sum(whole.counts[name] for name in FAULTS),
        "schedules_per_second": round(whole.schedules / max(seconds, 1e-9), 1),
    }
    seeds = sorted(whole.violations)
    violations = [f"seed {seed}: {what}" for seed in seeds for what in whole.violations[seed]]
    return Told("simulation", counts, whole.missing(), violations, seeds[:SHOWN_SEEDS], seconds, interrupted, more)


if __name__ == "__main__":
    sys.exit(main())
