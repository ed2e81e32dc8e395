"""Hints to many listeners: how many deliveries a second one `tieout serve` makes without falling behind.

`python -m bench.hints [--listeners N] [--seconds N] [--rate N] [--pool N]`. Redemptions on a private PostgreSQL with
fsync on, heard by every listener. The rate is doubled until the server falls behind: something is dropped or missing,
the 99th percentile of the delays is above a second, delays grow, or less comes in a second than was asked for. The last
line is one JSON object: what came at the rate that was asked for, and the highest rate at which it kept up.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench.http import private_server, serving
from bench.turns import run, tell
from tests.servers.postgres import Postgres

BEHIND_MS = 1_000.0
"""A hint that is later than this does not keep up."""

IN_TIME = 0.95
"""The share of the rate asked for that has to come: of a few seconds, the first and the last end weigh something."""

DRIFT_MS = 100.0
"""By so much delays may be longer at the end than at the beginning: a server that falls behind is ever later."""

DOUBLINGS = 5
"""At the most: beyond that the load, not the server, is measured."""


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=10_000, help="deliveries a second, in all")
    parser.add_argument("--pool", type=int, default=16)
    options = parser.parse_args()
    with private_server() as server:
        print(json.dumps(measure(server, options)))


def measure(server: Postgres, options: argparse.Namespace) -> dict[str, Any]:
    """What came at the rate asked for, and the highest rate at which the server kept up."""
    asked, highest = heard(server, options, options.rate), 0.0
    found, rate = asked, options.rate
    for _ in range(DOUBLINGS):
        if not keeps_up(found, rate):
            break
        highest, rate = found["rate"], 2 * rate
        found = heard(server, options, rate)
    told = {name: round(asked[name], 2) for name in ("p50_ms", "p99_ms", "longest_ms", "drift_ms")}
    return {
        "bench": "hints",
        "listeners": options.listeners,
        "asked": round(options.rate),
        "delivered": round(asked["rate"]),
        "missing": asked["missing"],
        "keeps_up": keeps_up(asked, options.rate),
        **told,
        "highest": round(highest),
    }


def heard(server: Postgres, options: argparse.Namespace, rate: float) -> dict[str, Any]:
    """What listeners of a new server heard at this rate."""
    with serving("ours", server, options) as served:
        found = run("-m", "bench.hints_load", served.port, served.token, options.seconds, options.listeners, rate)
    tell(f"{rate:.0f}/s asked: {found}")
    return found


def keeps_up(found: dict[str, Any], rate: float) -> bool:
    """Whether all came, and soon."""
    is_whole = not (found["missing"] or found["dropped"])
    is_soon = found["p99_ms"] <= BEHIND_MS and found["drift_ms"] <= DRIFT_MS
    return bool(is_whole and is_soon and found["rate"] >= IN_TIME * rate)


if __name__ == "__main__":
    main()
