"""Kill the node that follows a supplier at every point, on every database, and look what another one makes of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.kill.troupe import DIALECTS
from tests.mirror_kill.campaign import Share, Tally
from tests.mirror_kill.stories import STORIES
from tests.mirror_kill.troupe import tried
from tests.prove.telling import Told, tell

ALL = tuple(story.name for story in STORIES)
PARTS = 4
"""Shares of each story: small enough that the last one to end does not keep the others waiting."""

SMALL = 12
"""Points of each story that a small run tries, drawn by its seed."""

BESIDE = 3
"""Plays beside each other for each core: they wait for the ends of leases most of the time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    options = parse(arguments)
    share = Share(SMALL if options.small else None, options.seed)
    began, whole, interrupted = time.monotonic(), Tally(), False
    try:
        for part, tally in tried(options.databases, options.stories, share, options.jobs, PARTS):
            whole.add(tally)
            seconds = time.monotonic() - began
            line = f"{whole.counts['kills']} kills, {len(whole.violations)} violations, {seconds:.0f} s"
            print(f"{part.dialect}, {part.story}: {line}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    return tell(told(whole, options, time.monotonic() - began, interrupted=interrupted))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help=f"{SMALL} points of each story on each database")
    parser.add_argument("--seed", type=int, default=0, help="draws what a small run tries")
    parser.add_argument("--databases", nargs="+", choices=DIALECTS, default=DIALECTS, help="default: all")
    parser.add_argument("--stories", nargs="+", choices=ALL, default=ALL, metavar="STORY", help=f"of {', '.join(ALL)}")
    beside = BESIDE * (os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, default=beside, help=f"processes; default: {BESIDE} a core")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def told(whole: Tally, options: argparse.Namespace, seconds: float, *, interrupted: bool) -> Told:
    """The last line. What a small run did not kill at it could not: that is no lack of it."""
    is_whole = not options.small and set(options.stories) == set(ALL)
    never = whole.missing() if is_whole else []
    counts = {name: whole.counts[name] for name in sorted(whole.counts)} | {"points by name": len(whole.killed)}
    more = {"latest_takeover_seconds": round(whole.latest, 3)}
    return Told("mirror_kill", counts, never, whole.violations, [options.seed], seconds, interrupted, more)


if __name__ == "__main__":
    sys.exit(main())
