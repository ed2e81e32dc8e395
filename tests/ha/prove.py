"""Fail over many times, and say what it came to: `python -m tests.ha.prove --kills 50 --thaws 20`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from tests.ha.business import fill
from tests.ha.colours import Colour
from tests.ha.failover import Fault, Plan, fail_over
from tests.ha.outage import DETECTION, LIMIT, UNAVAILABLE, Outage, told, too_long
from tests.ha.pairs import PAIRS
from tests.prove.telling import Told, tell


class Size(NamedTuple):
    """How many times the primary is killed; frozen, replaced and thawed; killed while the replica lags behind."""

    kills: int
    thaws: int
    lags: int


WHOLE = {"postgres": Size(50, 12, 4), "mariadb": Size(20, 10, 4)}
SMALL = {"postgres": Size(5, 2, 2), "mariadb": Size(5, 2, 2)}

HESITATION = 3.0
"""Seconds for which every fifth replica waits to be promoted: clients must not wait longer and longer meanwhile."""

EXPECTED = (
    "kill of the primary",
    "thaw of the primary",
    "reads refused as stale",
    "writes refused as stale",
    "failovers on an event loop",
    "failovers in threads",
    "late promotions",
    "accepted, lost and reported",
    "issued, lost and found by the company's list",
)

NEVER_SEEN = (
    "lost",
    "double",
    "reads accepted after a thaw",
    "writes accepted after a thaw",
    "accepted, lost and not reported",
)
"""What is told as none when it was none."""


class Failover(NamedTuple):
    """What one of them was, and how long clients waited."""

    database: str
    plan: Plan
    outage: Outage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, help="of the primary of each database")
    parser.add_argument("--thaws", type=int, help="of the primary of each database, after it was frozen and replaced")
    parser.add_argument("--lags", type=int, help="kills of the primary of each database whose replica lags behind")
    parser.add_argument("--small", action="store_true", help=f"{SMALL}, unless it is said how many; else {WHOLE}")
    parser.add_argument("--databases", nargs="+", choices=[*WHOLE], default=[*WHOLE])
    parser.add_argument("--json", action="store_true", help="print the summary only, which is what is printed anyway")
    options = parser.parse_args(arguments)
    sizes = {database: _size(options, database) for database in options.databases}
    counts: Counter[str] = Counter()
    violations: list[str] = []
    failovers: list[Failover] = []
    started = time.monotonic()
    for database, size in sizes.items():
        _prove(database, size, counts, violations, failovers)
        late = too_long([failover.outage for failover in failovers if failover.database == database])
        violations += [f"{database}: {late}"] if late else []
    never = [name for name in EXPECTED if not counts[name]]
    shown = dict.fromkeys(NEVER_SEEN, 0) | dict(counts)
    seconds = time.monotonic() - started
    return tell(Told("ha", shown, never, violations, (), seconds, more={"outage": _figures(failovers)}))


def _size(options: argparse.Namespace, database: str) -> Size:
    usual = (SMALL if options.small else WHOLE)[database]
    asked = {name: getattr(options, name) for name in Size._fields if getattr(options, name) is not None}
    return usual._replace(**asked)


def rounds(size: Size) -> Iterator[Plan]:
    """The faults, one after the other as long as there are all; every second of each is in threads."""
    for one in zip_longest(_of("kill", size.kills), _of("thaw", size.thaws), _of("lag", size.lags)):
        yield from filter(None, one)


def _of(fault: Fault, count: int) -> Iterator[Plan]:
    colours: tuple[Colour, Colour] = ("loop", "threads")
    for number in range(count):
        yield Plan(fault, colours[number % 2], HESITATION if number % 5 == 4 else 0.0)


def _prove(database: str, size: Size, counts: Counter[str], violations: list[str], failovers: list[Failover]) -> None:
    pairs = PAIRS[database](lambda url: asyncio.run(fill(url)))
    try:
        for number, plan in enumerate(rounds(size), 1):
            done = fail_over(pairs, plan)
            name = f"{database} {number}, {plan.fault}, {plan.colour}"
            counts.update(done.counts)
            counts[f"{plan.fault}s on {database}"] += 1
            violations += [f"{name}: {what}" for what in done.violations]
            if done.outage is not None:
                failovers.append(Failover(database, plan, done.outage))
                seconds = f"{max(done.outage.clients):.2f} s, of them {done.outage.detection:.2f} s detection"
                print(f"{name}: {seconds}", file=sys.stderr, flush=True)
    finally:
        pairs.remove()


def _figures(failovers: Sequence[Failover]) -> dict[str, object]:
    """The seconds by database, fault and colour, what they are, and how busy the machine was lately."""
    groups: dict[str, list[Outage]] = {}
    for failover in failovers:
        parts = (failover.database, failover.plan.fault, failover.plan.colour)
        for name in (", ".join(parts[:count]) for count in (1, 2, 3)):
            groups.setdefault(name, []).append(failover.outage)
    figures = {name: told(outages) for name, outages in sorted(groups.items())}
    words = {"detection": DETECTION, "unavailable": UNAVAILABLE, "limit_beyond_detection": LIMIT}
    machine = {"processors": os.cpu_count(), "load_average": os.getloadavg()[-1]}
    return words | machine | {"seconds": figures}


if __name__ == "__main__":
    sys.exit(main())
