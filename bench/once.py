"""A handler under `once` beside the same handler with a unique-index insert by hand, in turn.

`python -m bench.once [--requests N] [--rounds N] [--in-flight N] [--pool N]`, on a private PostgreSQL with fsync on,
and on SQLite. The last lines are one JSON object for each database: requests per second of ours and of the floor
(medians over the rounds), and their ratio. The floor has the same business writes, connections and commits; it cannot
tell "in flight" from "not found", which costs ours one statement, and it forgets nothing, which costs ours an index.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import tieout
from bench.once_ours import SKUS
from bench.redeem import in_turn, run
from tests.servers.postgres import Postgres

HERE = Path(__file__).parent
SCHEMA = (HERE / "once_schema.sql").read_text()
TABLES = ("stock", "prize", "answered")


async def prepare(url: str) -> None:
    """An empty database with tieout's tables, the business's, and stock that does not run out."""
    app = tieout.App(url)
    await app.migrate()

    async def work(tx: tieout.Transaction) -> None:
        for table in TABLES:
            await tx.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in SCHEMA.split(";")[:-1]:
            await tx.execute(statement)
        await tx.execute("DELETE FROM tieout_once")
        stock = [{"sku": f"sku{number}", "pieces": 1 << 40} for number in range(SKUS)]
        await tx.execute_many("INSERT INTO stock (sku, pieces) VALUES (:sku, :pieces)", stock)

    await app.database.transact(work)
    await app.database.close()


def line(database: str, rates: dict[str, float], **more: float) -> str:
    """The last line of one database."""
    ours, floor = rates["ours"], rates["floor"]
    result = {"bench": "once", "db": database, "ours": round(ours), "floor": round(floor)}
    return json.dumps({**result, "ratio_floor": round(ours / floor, 3), **more})


def postgres(options: argparse.Namespace) -> str:
    """Ours against bare asyncpg."""
    server = Postgres()
    server.create()
    try:
        url = server.url(pool=options.pool)
        floor = ("127.0.0.1", server.port, "u", "postgres", options.pool, options.in_flight, options.requests)

        def reset() -> None:
            asyncio.run(prepare(url))
            server.psql("VACUUM ANALYZE")
            server.psql("CHECKPOINT")

        def ours() -> dict[str, Any]:
            return run("-m", "bench.once_ours", url, options.in_flight, options.requests)

        def bare() -> dict[str, Any]:
            return run("-m", "bench.once_floor_postgres", *floor)

        rates = in_turn({"ours": ours, "floor": bare}, options.rounds, reset)
    finally:
        server.remove()
    return line("postgres", rates)


def sqlite(options: argparse.Namespace) -> str:
    """Ours against a hand-written writer thread that makes batches of the size that ours was seen to make."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        file = Path(folder) / "bench.db"
        url = f"sqlite:///{file}"
        batches: list[float] = []

        def reset() -> None:
            for old in Path(folder).iterdir():
                old.unlink()
            asyncio.run(prepare(url))

        def ours() -> dict[str, Any]:
            result = run("-m", "bench.once_ours", url, options.in_flight, options.requests)
            batches.append(options.requests / result["commits"])
            return result

        def bare() -> dict[str, Any]:
            batch = max(1, round(batches[-1]))
            return run("-m", "bench.once_floor_sqlite", file, batch, options.in_flight, options.requests)

        reset()
        ours()  # also tells the first floor how large our batches are
        rates = in_turn({"ours": ours, "floor": bare}, options.rounds, reset)
    return line("sqlite", rates, batch=round(statistics.median(batches), 1))


def main() -> None:
    """Run both databases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--pool", type=int, default=16)
    options = parser.parse_args()
    lines = []
    for bench in (postgres, sqlite):
        print(f"{bench.__name__}: {bench.__doc__}", file=sys.stderr)
        lines.append(bench(options))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
