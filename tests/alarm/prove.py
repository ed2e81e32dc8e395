"""Tell alarms to receivers of every kind that fail, go away and come back: `python -m tests.alarm.prove`.

Every receiver checks the signatures of its kind. Fails when something that happened to an alarm was not told to one of
them, when what happened to one alarm was told out of order, or when something was wrongly signed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence

from tests.alarm.reaching import FAILURES, STORY, Outcome, Reaching
from tests.kill.troupe import scratch
from tests.prove.telling import Told, tell

RECEIVERS = 6

DELIVERIES, SMALL = 100_000, 6_000

OUTAGES, SMALL_OUTAGES = 10, 1
"""Of each receiver."""

HANDOVERS, SMALL_HANDOVERS = 5, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--deliveries", type=int, default=DELIVERIES, help="at least; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="draws who fails, and when; default %(default)s")
    parser.add_argument("--small", action="store_true", help=f"{SMALL} deliveries")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    deliveries = SMALL if options.small else options.deliveries
    outcome = reach(deliveries, options.seed, is_small=options.small)
    violations = [f"{text} (seed {options.seed})" for text in outcome.violations]
    never = [name for name in reached() if not outcome.counts[name]]
    return tell(Told("alarm", outcome.counts, never, violations, [options.seed], time.monotonic() - began))


def reach(deliveries: int, seed: int, *, is_small: bool) -> Outcome:
    """One run with at least so many deliveries."""
    alarms = -(-deliveries // (RECEIVERS * len(STORY)))
    outages, handovers = (SMALL_OUTAGES, SMALL_HANDOVERS) if is_small else (OUTAGES, HANDOVERS)

    logging.getLogger("tieout").setLevel(logging.ERROR)  # every failure that is meant would be told

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with scratch() as folder:
        return asyncio.run(Reaching(alarms, outages, handovers, seed, folder).run(progress))


def reached() -> list[str]:
    """What a run has to have met."""
    return ["deliveries", "delivered again", "handovers"] + [
        f"{kind} {failure}" for kind, failures in FAILURES.items() for failure in failures
    ]


if __name__ == "__main__":
    sys.exit(main())
