"""From start to final at half load: a redemption's time on tieout beside the same writes by hand.

`python -m bench.latency [--seconds N] [--in-flight N] [--pool N]`. Each side is first run as fast as it goes, then
given half of that rate, with requests that come at random moments and do not wait for one another; both sides are also
given half of the slower one's rate. The last lines are one JSON object for each database: milliseconds, p50 and p99,
timed from the moment at which a request was to come.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.redeem import OnServer, OnSqlite
from bench.servers import CountingMariaDB, CountingPostgres, running
from bench.turns import tell


def measure(name: str, sides: OnServer | OnSqlite, options: argparse.Namespace) -> str:
    """The line of one database."""
    tell(name)
    full = {side: one()["rate"] for side, one in _fresh(sides).items()}
    told: dict[str, Any] = {"bench": "latency", "db": name}
    for side, one in _fresh(sides).items():
        for load, rate in (("half", full[side] / 2), ("same", min(full.values()) / 2)):
            result = one(rate, round(rate * options.seconds))
            tell(f"{side:6} at {rate:6.0f}/s: p50 {result['p50']:8.2f} ms, p99 {result['p99']:8.2f} ms")
            told[f"{side}_{load}"] = {"rate": round(rate), "p50": result["p50"], "p99": result["p99"]}
    return json.dumps(told)


def _fresh(sides: OnServer | OnSqlite) -> dict[str, Callable[..., dict[str, Any]]]:
    """The two sides, each beginning with empty tables."""

    def begin(side: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def run(rate: float = 0.0, redemptions: int | None = None) -> dict[str, Any]:
            sides.reset()
            return side(redemptions, rate)

        return run

    return {"ours": begin(sides.ours), "floor": begin(sides.floor)}


def main() -> None:
    """Run every database and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redemptions", type=int, default=4_000, help="of the run that finds the full rate")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--pool", type=int, default=16)
    options = parser.parse_args()
    lines = []
    for kind in (CountingPostgres, CountingMariaDB):
        with running(kind()) as server:
            lines.append(measure(kind.name, OnServer(server, "asyncio", options), options))
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        lines.append(measure("sqlite", OnSqlite(Path(folder), "asyncio", options), options))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
