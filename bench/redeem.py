"""Points for a prize: tieout beside the same writes by hand, in turn, on a private PostgreSQL and on SQLite.

`python -m bench.redeem [--redemptions N] [--rounds N] [--in-flight N] [--pool N]`. The last lines are one JSON object
for each database: redemptions per second of ours and of the floor (medians over the rounds), their ratio, and the
statements and commits of one redemption as they were counted, the same on both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tieout
from bench.redeem_ours import CHANGE, DEDUCT, USERS
from tests.servers.postgres import Postgres
from tieout.database.query import compile_statement, load

HERE = Path(__file__).parent
SCHEMA = (HERE / "redeem_schema.sql").read_text()
COUNTED = 200
"""Redemptions of the run in which the server counts statements and commits."""

INSERT_CONSTANTS = {
    "type": "redeem",
    "version": 1,
    "state": "issue",
    "status": "running",
    "due_in": 10_000_000,
    "lane": "redeem.issue",
    "snapshots": "{}",
    "result": None,
    "deadline_in": 86_400_000_000,
}
SAVE_CONSTANTS = {
    "fence": 1,
    "state": "completed",
    "status": "final",
    "due_in": None,
    "lane": None,
    "snapshots": "{}",
    "note": None,
    "attempts": 0,
    "errors": 0,
}


def statements(dialect: str) -> str:
    """The statements of ours, as the floor is given them: text, parameter names, and what is always the same."""
    sql = load("tieout.process", dialect)
    given = {
        "deduct": (compile_statement(DEDUCT, dialect, "deduct"), {}),
        "change": (compile_statement(CHANGE, dialect, "change"), {}),
        "insert": (sql.insert_process, INSERT_CONSTANTS),
        "save": (sql.save_process, SAVE_CONSTANTS),
    }
    return json.dumps({name: (one.text, one.params, constants) for name, (one, constants) in given.items()})


async def prepare(url: str) -> None:
    """An empty database with tieout's tables, the two business tables, and users who can pay."""
    app = tieout.App(url)
    await app.migrate()

    async def work(tx: tieout.Transaction) -> None:
        for table in ("points_change", "account"):
            await tx.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in SCHEMA.split(";")[:-1]:
            await tx.execute(statement)
        await tx.execute("DELETE FROM tieout_process")
        users = [{"name": f"user{number}", "points": 1 << 40} for number in range(USERS)]
        await tx.execute_many("INSERT INTO account (name, points) VALUES (:name, :points)", users)

    await app.database.transact(work)
    await app.database.close()


def run(*command: object) -> dict[str, Any]:
    """What a side printed on its last line."""
    process = subprocess.run(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def in_turn(sides: dict[str, Callable[[], dict[str, Any]]], rounds: int, reset: Callable[[], None]) -> dict[str, float]:
    """The median rate of each side over rounds in which they take turns; the first of each round changes."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            reset()
            result = sides[name]()
            rates[name].append(result["rate"])
            print(
                f"  round {number + 1} {name:6} {result['rate']:8.0f}/s  client CPU {result['cpu']:.2f}",
                file=sys.stderr,
            )
    return {name: statistics.median(values) for name, values in rates.items()}


def line(database: str, rates: dict[str, float], counts: dict[str, Any]) -> str:
    """The last line of one database."""
    return json.dumps(
        {
            "bench": "redeem",
            "db": database,
            "ours": round(rates["ours"]),
            "floor": round(rates["floor"]),
            "ratio_floor": round(rates["ours"] / rates["floor"], 3),
            **counts,
        }
    )


def postgres(options: argparse.Namespace) -> str:
    """Ours against bare asyncpg, on a private server with fsync on."""
    server = Postgres(shared_preload_libraries="pg_stat_statements")
    server.create()
    try:
        url, given = server.url(pool=options.pool), statements("postgres")
        floor = ("127.0.0.1", server.port, "u", "postgres", options.pool, options.in_flight)

        def reset() -> None:
            asyncio.run(prepare(url))
            server.psql("VACUUM ANALYZE")
            server.psql("CHECKPOINT")

        def ours(redemptions: int = options.redemptions) -> dict[str, Any]:
            return run("-m", "bench.redeem_ours", url, options.in_flight, redemptions)

        def bare(redemptions: int = options.redemptions) -> dict[str, Any]:
            return run("-m", "bench.redeem_floor_postgres", *floor, redemptions, given)

        counts = {"ours": counted(server, reset, ours), "floor": counted(server, reset, bare)}
        server.psql("ALTER SYSTEM SET pg_stat_statements.track = 'none'")
        server.psql("SELECT pg_reload_conf()")
        rates = in_turn({"ours": ours, "floor": bare}, options.rounds, reset)
    finally:
        server.remove()
    return line("postgres", rates, same(counts))


def counted(server: Postgres, reset: Callable[[], None], side: Callable[[int], dict[str, Any]]) -> dict[str, float]:
    """The statements and commits of one redemption, as the server counts them over a short run."""
    server.psql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    reset()
    server.psql("SELECT pg_stat_statements_reset()")
    side(COUNTED)
    business = "query ~ 'account|points_change|tieout_process' AND query !~ 'pg_|DELETE|CREATE|DROP'"
    total = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE"
    written = float(server.psql(f"{total} {business}"))
    commits = float(server.psql(f"{total} query = 'COMMIT'"))
    return {"statements": written / COUNTED, "commits": commits / COUNTED}


def same(counts: dict[str, dict[str, float]]) -> dict[str, float]:
    """The counts that both sides share; ends the run when they do not do the same work."""
    print(f"  statements and commits per redemption: {counts}", file=sys.stderr)
    if counts["ours"] != counts["floor"]:
        raise SystemExit(f"the sides do not do the same work: {counts}")
    return counts["ours"]


def sqlite(options: argparse.Namespace) -> str:
    """Ours against a hand-written writer thread that makes batches of the size that ours was seen to make."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        file = Path(folder) / "bench.db"
        url, given = f"sqlite:///{file}", statements("sqlite")
        batches: list[float] = []

        def reset() -> None:
            for old in Path(folder).iterdir():
                old.unlink()
            asyncio.run(prepare(url))

        def ours(*count: str) -> dict[str, Any]:
            result = run("-m", "bench.redeem_ours", url, options.in_flight, options.redemptions, *count)
            batches.append(2 * options.redemptions / result["commits"])
            return result

        def bare(*count: str) -> dict[str, Any]:
            floor = "-m", "bench.redeem_floor_sqlite"
            return run(*floor, file, max(1, round(batches[-1])), options.in_flight, options.redemptions, given, *count)

        reset()
        counts = {"ours": per_redemption(ours("count")), "floor": per_redemption(bare("count"))}
        batches.clear()
        ours()
        rates = in_turn({"ours": ours, "floor": bare}, options.rounds, reset)
    print(f"  transactions in one commit of ours: {[round(batch, 1) for batch in batches]}", file=sys.stderr)
    return line("sqlite", rates, same(counts) | {"batch": round(statistics.median(batches), 1)})


def per_redemption(result: dict[str, Any]) -> dict[str, float]:
    """The statements and transactions of one redemption, as a side counted what it ran."""
    return {"statements": result["statements"], "commits": result["transactions"]}


def main() -> None:
    """Run both databases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redemptions", type=int, default=6_000)
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
