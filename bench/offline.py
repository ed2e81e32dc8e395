"""Two databases compared over a day: `python -m bench.offline [--rows N]`, on a private PostgreSQL with fsync on.

Ten million rows on each side, of which 1 in 1,000 and then 1 in 20 is different, spread evenly: end to end, beside
reladiff's method for two databases, and beside DuckDB alone on Parquet files that are ready. Each says what it found,
and has to find the same. reladiff compares fewer rows where it would take too long, and is compared by the row.
The last lines are JSON, one for each share of differences.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from bench.peer import environment
from bench.turns import HERE, run, tell
from tests.servers.postgres import Postgres

REQUIREMENTS = HERE / "reladiff_requirements.txt"
EVERY = {"0.1%": 1_000, "5%": 20}


def main() -> None:
    """Both shares of differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--reladiff-rows", type=int, default=2_000_000, help="at most, where there are more")
    options = parser.parse_args()
    server = Postgres(max_wal_size="4GB")
    server.create()
    try:
        print("\n".join(json.dumps(measured(server, diff, every, options)) for diff, every in EVERY.items()))
    finally:
        server.remove()


def measured(server: Postgres, diff: str, every: int, options: argparse.Namespace) -> dict[str, Any]:
    """The line of one share of differences."""
    told: dict[str, Any] = {"bench": "offline", "diff": diff, "rows": options.rows}
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        urls = loaded(server, options.rows, every)
        run("-m", "bench.offline_duckdb", folder, options.rows, every)
        before = run("-m", "bench.offline_duckdb", folder)
        ours = run("-m", "bench.offline_ours", *urls, folder)
        after = run("-m", "bench.offline_duckdb", folder)
        tell(f"ours     {ours['seconds']:7.1f} s, of them comparing {ours['compare']:.1f} s: {ours['found']}")
        tell(f"duckdb   {before['seconds']:.2f} s before that, {after['seconds']:.2f} s after it: {after['found']}")
        duckdb = after | {"seconds": (before["seconds"] + after["seconds"]) / 2}
        check(ours["found"], duckdb["found"])
        told |= {
            "ours_s": round(ours["seconds"], 1),
            "compare_s": round(ours["compare"], 2),
            "duckdb_s": round(duckdb["seconds"], 2),
            "ratio_duckdb": round(ours["compare"] / duckdb["seconds"], 2),
            "cpu_s": round(ours["cpu"], 1),
            "peak_mb": round(ours["peak_mb"]),
        }
        python = environment("reladiff", REQUIREMENTS)
        if python is None:
            return told
        rows, mine = options.rows, ours
        if rows > options.reladiff_rows:
            rows = options.reladiff_rows
            urls = loaded(server, rows, every)
            mine = run("-m", "bench.offline_ours", *urls, folder)
        theirs = run("-m", "bench.offline_reladiff", *urls, python=str(python))
        tell(f"reladiff {theirs['seconds']:7.1f} s over {rows} rows: {theirs['found']}; ours {mine['seconds']:.1f} s")
        check(mine["found"], theirs["found"])
    per_row = (theirs["seconds"] / rows) / (ours["seconds"] / options.rows)
    return told | {
        "reladiff_rows": rows,
        "reladiff_s": round(theirs["seconds"], 1),
        "ratio_reladiff": round(per_row, 1),
        "ratio_reladiff_same_rows": round(theirs["seconds"] / mine["seconds"], 1),
    }


def loaded(server: Postgres, rows: int, every: int) -> list[str]:
    """Two databases with the rows, both ready to be read; those before them are gone."""
    for name in server.psql("SELECT datname FROM pg_database WHERE datname LIKE 'test_%'").split():
        server.psql(f"DROP DATABASE {name}")
    urls = []
    text = (HERE / "offline_load.sql").read_text()
    for side in ("upstream", "downstream"):
        database = server.database()
        for part in (side, "index"):
            sql = text.split(f"-- name: {part}\n")[1].split("-- name:")[0]
            server.psql(sql.replace(":count", f"{rows}::bigint").replace(":every", str(every)), database=database)
        server.psql("VACUUM ANALYZE payment", database=database)
        urls.append(server.url(database))
    server.psql("CHECKPOINT")
    return urls


def check(ours: dict[str, int], theirs: dict[str, int]) -> None:
    """Both have found the same."""
    for what in ("missing", "orphan", "differs"):
        if ours[what] != theirs[what]:
            raise SystemExit(f"{what}: {ours[what]} and {theirs[what]}")


if __name__ == "__main__":
    main()
