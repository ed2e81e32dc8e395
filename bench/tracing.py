"""What traces cost: `tieout serve` with OpenTelemetry collecting every span, and without, in turn.

`python -m bench.tracing [--seconds N] [--rounds N] [--connections N] [--pool N]`. The redemptions of `bench.http`, on a
private PostgreSQL with fsync on. The last line is one JSON object: the highest rates of both (medians over the
rounds), what a start costs the process, and both ratios. What an exporter costs that sends the spans away is not in it.
"""

from __future__ import annotations

import json
import statistics

from bench.http import highest_rates, options_of, private_server

TRACED = ("ours", "traced")


def main() -> None:
    """Run both sides in turn."""
    options = options_of(__doc__)
    with private_server() as server:
        found = highest_rates(TRACED, server, options)
    highest = {side: statistics.median(one.rates) for side, one in found.items()}
    cpu = {side: statistics.median(one.cpu_ms) for side, one in found.items()}
    told = {
        "bench": "tracing",
        "traced": round(highest["traced"]),
        "untraced": round(highest["ours"]),
        "ratio": round(highest["traced"] / highest["ours"], 3),
        "traced_cpu_ms": round(cpu["traced"], 3),
        "untraced_cpu_ms": round(cpu["ours"], 3),
        "ratio_cpu": round(cpu["traced"] / cpu["ours"], 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
