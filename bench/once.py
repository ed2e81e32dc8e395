"""A handler under `once` beside the same handler with a unique-index insert by hand, in turn.

`python -m bench.once [--requests N] [--rounds N] [--in-flight N] [--pool N]`, on a private PostgreSQL and MariaDB that
flush at every commit, and on SQLite. The last lines are one JSON object for each database: requests per second of ours
and of the floor (medians over the rounds), and their ratio. The floor has the same business writes, connections and
commits; it cannot tell "in flight" from "not found", which costs ours one statement, and it forgets nothing, which
costs ours an index.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

import tieout
from bench.once_by_hand import SKUS
from bench.servers import Counting, CountingMariaDB, CountingPostgres, running
from bench.turns import HERE, in_turn, line, run, tell

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


def on_server(kind: type[Counting], options: argparse.Namespace) -> str:
    """Ours against the bare driver of a server."""
    with running(kind()) as server:
        url = server.url(pool=options.pool)
        amount = (options.in_flight, options.requests)

        def reset() -> None:
            asyncio.run(prepare(url))
            server.settle()

        def ours() -> dict[str, Any]:
            return run("-m", "bench.once_ours", url, *amount)

        def bare() -> dict[str, Any]:
            return run("-m", f"bench.once_floor_{server.dialect}", *server.address, options.pool, *amount)

        return line("once", in_turn({"ours": ours, "floor": bare}, options.rounds, reset), db=server.name)


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
    return line("once", rates, db="sqlite", batch=round(statistics.median(batches), 1))


def main() -> None:
    """Run every database and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--pool", type=int, default=16)
    options = parser.parse_args()
    lines = []
    for kind in (CountingPostgres, CountingMariaDB):
        tell(kind.name)
        lines.append(on_server(kind, options))
    tell("sqlite")
    print("\n".join([*lines, sqlite(options)]))


if __name__ == "__main__":
    main()
