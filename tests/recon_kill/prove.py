"""Kill the node that follows both sources at every point, on every database, and look what the next ones make of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.prove.telling import Told, tell
from tests.recon_kill.campaign import Share, Tally
from tests.recon_kill.stories import STORIES
from tests.recon_kill.troupe import DIALECTS, tried

ALL = tuple(story.name for story in STORIES)
PARTS = 2
"""Shares of each database: each starts a server of its own."""

SMALL = 8
"""Points of each story that a small run tries, drawn by its seed."""


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
            print(f"{part.dialect}: {line}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    return tell(told(whole, options, time.monotonic() - began, interrupted=interrupted))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help=f"{SMALL} points of each story on each database")
    parser.add_argument("--seed", type=int, default=0, help="draws what a small run tries, and the second kills")
    parser.add_argument("--databases", nargs="+", choices=DIALECTS, default=DIALECTS, help="default: all")
    parser.add_argument("--stories", nargs="+", choices=ALL, default=ALL, metavar="STORY", help=f"of {', '.join(ALL)}")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="processes; default: two a core")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def told(whole: Tally, options: argparse.Namespace, seconds: float, *, interrupted: bool) -> Told:
    """The last line. What a small run did not kill at it could not: that is no lack of it."""
    is_whole = not options.small and set(options.stories) == set(ALL)
    never = whole.missing() if is_whole else []
    counts = {name: whole.counts[name] for name in sorted(whole.counts)} | {"points by name": len(whole.killed)}
    return Told("recon_kill", counts, never, whole.violations, [options.seed], seconds, interrupted)


if __name__ == "__main__":
    sys.exit(main())
