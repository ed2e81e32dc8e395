"""Redeem through a bad network on every driver, and say what it came to: `python -m tests.proxy.prove --seconds 60`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.prove.telling import Told, tell
from tests.proxy.load import DRIVERS, Run, Servers, run

SECONDS, SMALL = 180.0, 15.0
"""How long clients redeem, beside each other on every driver."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, help=f"of load; default {SECONDS:g}")
    parser.add_argument("--seed", type=int, default=0, help="draws the order and the places of the faults")
    parser.add_argument("--small", action="store_true", help=f"{SMALL:g} seconds, unless it is said how many")
    parser.add_argument("--drivers", nargs="+", choices=[*DRIVERS], default=[*DRIVERS])
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    runs: dict[str, Run] = {}
    interrupted = False
    try:
        seconds = options.seconds or (SMALL if options.small else SECONDS)
        with Servers(*options.drivers) as servers:
            print(f"{', '.join(options.drivers)}: {seconds:g} s of faults, then the end", file=sys.stderr, flush=True)
            runs = asyncio.run(run_all(servers, options.drivers, seconds, options.seed))
    except KeyboardInterrupt:
        interrupted = True
    counts: Counter[str] = sum((done.counts for done in runs.values()), Counter())
    never = [f"{name} on {driver}" for driver, done in runs.items() for name in done.never]
    violations = [violation for done in runs.values() for violation in done.violations]
    more = {"drivers": {driver: dict(done.counts) for driver, done in runs.items()}}
    seconds = time.monotonic() - began
    return tell(Told("proxy", dict(counts), never, violations, (options.seed,), seconds, interrupted, more))


async def run_all(servers: Servers, drivers: Sequence[str], seconds: float, seed: int) -> dict[str, Run]:
    """Each driver's run, all beside each other."""
    done = await asyncio.gather(*(run(servers, driver, seconds, seed) for driver in drivers))
    return dict(zip(drivers, done, strict=True))


if __name__ == "__main__":
    sys.exit(main())
