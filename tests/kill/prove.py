"""Kill a process at every point of every story, on every database, and again whoever recovers from that."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from tests.kill.campaign import ACT, RECOVERY, Share, Tally
from tests.kill.stories import STORIES
from tests.kill.troupe import DIALECTS, MIGRATION, Part, grounds, opened, played, scratch
from tests.prove.kills import together
from tests.prove.telling import Told, tell

ALL = (*(story.name for story in STORIES), MIGRATION)
PARTS = 4
"""Shares of each story: small enough that the last one to end does not keep the others waiting."""

SMALL = Share(12, 1)
"""Points of each story, and of each recovery, that a small run tries, drawn by its seed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    options = parse(arguments)
    if options.replay:
        return replay(options.replay)
    began = time.monotonic()
    whole, interrupted = Tally(), False
    try:
        for tally in tried(options):
            whole.add(tally)
    except KeyboardInterrupt:
        interrupted = True
    return tell(told(whole, options, time.monotonic() - began, interrupted=interrupted))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    small = f"{SMALL.singles} points of each story, and {SMALL.pairs} of each recovery"
    parser.add_argument("--small", action="store_true", help=small)
    parser.add_argument("--singles", action="store_true", help="no recovery is killed")
    parser.add_argument("--seed", type=int, default=0, help="draws what a small run tries")
    parser.add_argument("--databases", nargs="+", choices=DIALECTS, default=DIALECTS, help="default: all")
    parser.add_argument("--stories", nargs="+", choices=ALL, default=ALL, metavar="STORY", help=f"of {', '.join(ALL)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    words = ("DATABASE", "STORY", "FIRST", "SECOND")
    parser.add_argument(
        "--replay", nargs=4, metavar=words, help="play one pair (SECOND 0: one kill), and tell all of it"
    )
    return parser.parse_args(arguments)


def tried(options: argparse.Namespace) -> Iterator[Tally]:
    """What each part of the work comes to, as it is done."""
    share = replace(SMALL if options.small else Share(), seed=options.seed, parts=PARTS)
    if options.singles:
        share = replace(share, pairs=0)
    began = time.monotonic()
    with scratch() as folder, grounds(tuple(options.databases)) as servers:
        parts = [
            Part(
                dialect,
                story,
                replace(share, part=part),
                "" if server is None else server.url(server.database()),
                str(folder / f"{dialect}-{ALL.index(story)}-{part}"),
            )
            for part in range(PARTS)
            for story in options.stories
            for dialect, server in servers.items()
        ]
        for done, (part, tally) in enumerate(together(played, parts, options.jobs), 1):
            seconds, kills = time.monotonic() - began, tally.counts["kills"]
            line = f"{done:>4} of {len(parts)}, {seconds:6.0f} s: {part.dialect} {part.story}: {kills} kills"
            print(f"{line}, {len(tally.violations)} violations", file=sys.stderr, flush=True)
            tally.counts[f"kills on {part.dialect}"] += kills
            yield tally


def told(whole: Tally, options: argparse.Namespace, seconds: float, *, interrupted: bool) -> Told:
    """The last line. A run of a few stories cannot come past what the others come past."""
    parts = () if options.small else (ACT,) if options.singles else (ACT, RECOVERY)
    never = whole.missing(*parts) if set(options.stories) == set(ALL) else whole.never
    first = ("kills", "singles", "pairs", "lives")
    counts = {name: whole.counts[name] for name in first} | {
        name: whole.counts[name] for name in sorted(whole.counts.keys() - {*first, "whole"})
    }
    counts["points by name"] = len(whole.killed)
    return Told("kill", counts, never, whole.violations, [options.seed], seconds, interrupted)


def replay(what: Sequence[str]) -> int:
    """Play one pair, and tell where each life went and what was left."""
    dialect, name, first, second = what
    story = next(story for story in STORIES if story.name == name)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        server = stack.enter_context(grounds((dialect,)))[dialect]
        url = "" if server is None else server.url(server.database())
        theatre = stack.enter_context(opened(dialect, url, folder))
        tally, lives = theatre.play(story, int(first) or None, int(second) or None)
        for number, life in enumerate(lives, 1):
            print(f"life {number}: {life.killed_at or 'to its end'}", *life.passed, sep="\n    ")
        for kind, left in theatre.evidence()._asdict().items():
            print(f"{kind}: {left}")
    for violation in tally.violations:
        print(f"VIOLATED  {violation}")
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
