"""Run many schedules, and say what they came to: `python -m tests.simulation.prove --schedules 100000`.

Fails when a schedule is violated, and also when some fault or rare state never came: a run that was too kind shows
nothing. A violation prints its seed; `--replay SEED` runs that one schedule again and tells all that happens in it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.prove.seeded import Ran, Seeded, violated
from tests.prove.telling import Told, tell
from tests.simulation.faults import FAULTS, RARE
from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import Tally, run

KIND = Seeded("simulation", __doc__, run, Tally, whole=100_000, small=10_000, chunk=50, mutants=[*MUTANTS])

SHOWN = 5
"""Violated schedules that are told in full."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status. Its wrong engines are for the tests: they have to be caught many times."""
    options = KIND.parse(arguments)
    if options.replay is not None:
        return KIND.replay(options.replay, options.mutant)
    ran = KIND.run_all(options)
    if not options.json:
        show(ran.whole)
    show_violations(ran.whole, options.mutant)
    return tell(summary(ran))


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


def summary(ran: Ran[Tally]) -> Told:
    """The last line. `ok_rate`: the share of accepted requests' processes that ended without a person's help."""
    whole = ran.whole
    ended_by_persons = whole.counts["final by an operator"]
    processes = max(whole.counts["processes"], 1)
    counts = {
        "schedules": whole.schedules,
        "violated": len(whole.violations),
        **whole.numbers(),
        **{name: whole.counts[name] for name in (*FAULTS, *RARE)},
    }
    more = {
        "ok_rate": round((whole.final - ended_by_persons) / processes, 4),
        "faults": sum(whole.counts[name] for name in FAULTS),
        "schedules_per_second": round(whole.schedules / max(ran.seconds, 1e-9), 1),
    }
    return Told("simulation", counts, whole.missing(), *violated(whole), ran.seconds, ran.interrupted, more)


if __name__ == "__main__":
    sys.exit(main())
