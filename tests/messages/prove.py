"""Messages through brokers that are killed and started again: none is lost, none has two effects."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.kill.troupe import scratch
from tests.messages.traffic import CASES, REACHED, Outcome, Traffic
from tests.prove.telling import Told, tell

MESSAGES = 1_000_000
SMALL = 20_000
KILLS = 10
SMALL_KILLS = {"nats": 2, "rabbitmq": 1}
"""RabbitMQ takes five seconds to start, NATS none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parse(arguments)
    messages = SMALL if options.small else options.messages
    began, interrupted = time.monotonic(), False
    counts: Counter[str] = Counter()
    violations: list[str] = []
    seconds: dict[str, float] = {}
    try:
        for name in options.brokers:
            start = time.monotonic()
            kills = options.kills or (SMALL_KILLS[name] if options.small else KILLS)
            outcome = through(name, messages, kills, options.seed)
            counts.update(outcome.counts)
            violations += [f"{text} (seed {options.seed})" for text in outcome.violations]
            seconds[name] = round(time.monotonic() - start, 1)
            print(f"{name}: {dict(outcome.counts)}, {len(outcome.violations)} wrong", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    never = [name for name in REACHED if not counts[name]]
    more = {"seconds_of": seconds}
    return tell(
        Told("messages", counts, never, violations, [options.seed], time.monotonic() - began, interrupted, more)
    )


def through(name: str, messages: int, kills: int, seed: int) -> Outcome:
    """One run through one kind of broker."""

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with scratch() as folder:
        return asyncio.run(Traffic(name, messages, kills, seed, folder).run(progress))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="through each broker; default %(default)s")
    parser.add_argument("--kills", type=int, help=f"of each broker; default {KILLS}, small: {SMALL_KILLS}")
    parser.add_argument("--brokers", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="draws when it is killed; default %(default)s")
    parser.add_argument("--small", action="store_true", help=f"{SMALL} messages through each")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
