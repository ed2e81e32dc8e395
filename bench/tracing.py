"""What traces cost: `tieout serve` with OpenTelemetry collecting every span, and without, in turn.

`python -m bench.tracing [--seconds N] [--rounds N] [--connections N] [--pool N]`. The redemptions of `bench.http`, on a
private PostgreSQL with fsync on. The last line is one JSON object: the highest rates of both (medians over the
rounds) and their ratio. What an exporter costs that sends the spans away is not in it.
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
        rates = highest_rates(TRACED, server, options)
    highest = {side: statistics.median(found) for side, found in rates.items()}
    told = {"bench": "tracing", "traced": round(highest["traced"]), "untraced": round(highest["ours"])}
    print(json.dumps({**told, "ratio": round(highest["traced"] / highest["ours"], 3)}))


if __name__ == "__main__":
    main()
