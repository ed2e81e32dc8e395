"""Fail over many times, and say what it came to: `python -m tests.ha.prove --failovers 50`."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.ha.failover import Fault, fail_over
from tests.prove.telling import Told, tell

WHOLE = {"postgres": 50, "mariadb": 20}
SMALL = {"postgres": 4, "mariadb": 4}
"""Failovers of each database; every second one is a thaw."""

EXPECTED = (
    "kill of the primary",
    "thaw of the primary",
    "reads refused as stale",
    "writes refused as stale",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--failovers", type=int, help=f"of each database; default {WHOLE}")
    parser.add_argument("--small", action="store_true", help=f"{SMALL}, unless it is said how many")
    parser.add_argument("--databases", nargs="+", choices=[*WHOLE], default=[*WHOLE])
    parser.add_argument("--json", action="store_true", help="print the summary only, which is what is printed anyway")
    options = parser.parse_args(arguments)
    each = SMALL if options.small else WHOLE
    counts: Counter[str] = Counter()
    violations: list[str] = []
    unavailable: dict[str, list[float]] = {database: [] for database in options.databases}
    started = time.monotonic()
    for database in options.databases:
        for number in range(options.failovers or each[database]):
            fault: Fault = "thaw" if number % 2 else "kill"
            done = asyncio.run(fail_over(database, fault))
            counts += done.counts
            counts[f"failovers on {database}"] += 1
            violations += [f"{database}, {fault} {number}: {what}" for what in done.violations]
            unavailable[database].append(done.unavailable)
            print(f"{database} {number + 1}: {fault}, {done.unavailable:.2f} s", file=sys.stderr, flush=True)
    never = [name for name in EXPECTED if not counts[name]]
    more = {"unavailable_after_promotion": {name: spread(seconds) for name, seconds in unavailable.items()}}
    return tell(Told("ha", dict(counts), never, violations, (), time.monotonic() - started, more=more))


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the 99th percentile, which of fewer than 100 is the longest."""
    ordered = sorted(seconds)
    return {"p50": round(statistics.median(ordered), 3), "p99": round(ordered[int(len(ordered) * 0.99)], 3)}


if __name__ == "__main__":
    sys.exit(main())
