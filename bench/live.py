"""Following both sides live: row events from commit to durable verdict, beside a bare reader of the same logs.

`python -m bench.live [--pairs N] [--rounds N]`, on a private PostgreSQL that flushes at every commit and holds both
sources and what tieout keeps. So many rows are committed on each side, a transaction each, with nobody reading; then
*ours* follows until every pair is tied, and the *reader* (the same feeds, whose changes are decoded and counted) reads
to the end. After that rows are committed at half the rate of ours while it follows; p99 is from a row's commit until
the commit of the verdict that it led to. The last line is one JSON object: row events per second of each (medians of
the rounds), their ratio, and milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.turns import run, tell
from tests.servers.postgres import Postgres, binary

CHANGE = (
    "CREATE TABLE change (id bigint PRIMARY KEY, state text, sku text, quantity int, cost numeric, done timestamptz)"
)
PRIZE = "CREATE TABLE prize (change_id bigint, state text, sku text, qty int, value numeric, issued timestamptz)"
LOAD = """
DO $$ BEGIN
    FOR n IN {first}..{last} LOOP
        INSERT INTO {table} VALUES (n, '{state}', 'umbrella', 1 + n % 9, 12.5 + n % 100, clock_timestamp());
        COMMIT;
    END LOOP;
END $$
"""
SIDES = {"up": ("change", "done", CHANGE), "down": ("prize", "issued", PRIZE)}
SECONDS = 20
"""How long rows are committed at half the rate."""


class Bench:
    """A server, and rows in both of its sources."""

    def __init__(self) -> None:
        self.server = Postgres(wal_level="logical", max_wal_size="4GB", shared_buffers="512MB")
        self.rows = 0

    def create(self) -> None:
        self.server.create()
        for name, (table, _, create) in SIDES.items():
            self.server.psql(f"CREATE DATABASE {name}")
            for statement in (
                create,
                f"ALTER TABLE {table} REPLICA IDENTITY FULL",
                f"CREATE PUBLICATION tieout FOR TABLE {table}",
            ):
                self.server.psql(statement, name)
        self.server.psql("CREATE DATABASE app")
        for name in (*SIDES, "app"):
            os.environ[f"LIVE_{name.upper()}"] = self.server.url(name)
        run("-m", "bench.live_ours", "begin")

    def load(self, pairs: int) -> None:
        """Commit so many rows on each side, which nobody reads yet."""
        first, self.rows = self.rows + 1, self.rows + pairs
        loading = []
        for name, (table, state, _) in SIDES.items():
            sql = LOAD.format(first=first, last=self.rows, table=table, state=state)
            where = ["-h", str(self.server.folder), "-p", str(self.server.port), "-U", "u", "-d", name]
            options = {**os.environ, "PGOPTIONS": "-c synchronous_commit=off"}
            loading.append(subprocess.Popen([binary("psql"), "-Xq", *where, "-c", sql], env=options))
        for process in loading:
            if process.wait():
                raise RuntimeError("loading failed")
        self.server.psql("CHECKPOINT")

    def latency(self, rate: float) -> dict[str, float]:
        """Milliseconds from commit to verdict at a rate of row events per second."""
        pairs = max(1, int(rate / 2 * SECONDS))
        first, self.rows = self.rows + 1, self.rows + pairs
        return run("-m", "bench.live_ours", "follow", first, self.rows, rate / 2)


async def main() -> None:
    """Run it and print the result as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    bench = Bench()
    bench.create()
    try:
        rates: dict[str, list[float]] = {"ours": [], "reader": []}
        for number in range(said.rounds):
            bench.load(said.pairs)
            for name in ("ours", "reader") if number % 2 == 0 else ("reader", "ours"):
                rates[name].append(run("-m", "bench.live_ours", name, said.pairs, bench.rows)["rate"])
                tell(f"round {number + 1} {name:6} {rates[name][-1]:8.0f} row events/s")
        ours, reader = (statistics.median(rates[name]) for name in ("ours", "reader"))
        waited = bench.latency(ours / 2)
        tell(f"at {ours / 2:.0f} row events/s: p50 {waited['p50_ms']:.0f} ms, p99 {waited['p99_ms']:.0f} ms")
    finally:
        bench.server.remove()
    result = {"bench": "live", "db": "postgres", "ours": round(ours), "reader": round(reader)}
    print(json.dumps({**result, "ratio_reader": round(ours / reader, 3), "p99_ms": round(waited["p99_ms"])}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    asyncio.run(main())
