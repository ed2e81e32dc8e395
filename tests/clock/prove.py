"""Nodes whose clocks are an hour wrong, and jump: `python -m tests.clock.prove`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.clock.skew import REACHED, SERVERS, Outcome, run
from tests.prove.telling import Told, tell

WRONG_REQUESTS = 40
"""Requests of each node in the run that must be noticed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    requests = 60 if options.small else options.requests
    began, interrupted = time.monotonic(), False
    counts: Counter[str] = Counter()
    violations: list[str] = []
    noticed: dict[str, int] = {}
    try:
        for name in SERVERS:
            outcome = on(name, options.seed, requests)
            counts += outcome.counts
            violations += [f"{name}, seed {options.seed}: {text}" for text in outcome.violations]
            noticed[name] = len(on(name, options.seed, WRONG_REQUESTS, wrong=True).violations)
            print(f"{name}: {outcome}, and of wrong nodes {noticed[name]}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    never = [name for name in REACHED if not counts[name]]
    never += [f"nodes that read their own clocks being noticed on {name}" for name in SERVERS if not noticed.get(name)]
    seconds = time.monotonic() - began
    told = Told("clock", counts, never, violations, [options.seed], seconds, interrupted, {"wrong_nodes": noticed})
    return tell(told)


def on(name: str, seed: int, requests: int, *, wrong: bool = False) -> Outcome:
    """One run on one kind of server."""
    with SERVERS[name]() as url:
        return asyncio.run(run(url, seed, requests, wrong=wrong))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000, help="of each of two nodes; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="draws the jumps; default %(default)s")
    parser.add_argument("--small", action="store_true", help="60 requests of each node")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
