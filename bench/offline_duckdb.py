"""DuckDB alone, on two typed Parquet files with the rows of the databases, compared by one join written by hand.

`python -m bench.offline_duckdb FOLDER ROWS EVERY` writes the files, `python -m bench.offline_duckdb FOLDER` compares
them. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

ROWS = """
    COPY (
        SELECT {id} AS id, ((n * 7919 % 100000) / 100.0 + {more})::DECIMAL(12, 2) AS amount,
            ['EUR', 'USD', 'CNY'][n % 3 + 1] AS currency,
            TIMESTAMP '2026-11-22' + to_microseconds(n * (86400000000 // {count})) AS paid_at
        FROM range({count}) AS r(n) WHERE {where}
    ) TO '{file}' (FORMAT parquet, COMPRESSION zstd)"""

COMPARE = """
    SELECT CASE WHEN d.id IS NULL THEN 'missing' WHEN u.id IS NULL THEN 'orphan'
        WHEN u.amount = d.amount AND u.currency = d.currency THEN 'tied' ELSE 'differs' END AS what, count(*)
    FROM '{ours}' AS u FULL OUTER JOIN '{theirs}' AS d ON u.id = d.id GROUP BY what"""


def main() -> None:
    """Write, or compare and tell; each is a process of its own, so that neither has memory that the other has used."""
    folder, *written = sys.argv[1:]
    ours, theirs = Path(folder) / "ours.parquet", Path(folder) / "theirs.parquet"
    if written:
        write(ours, theirs, *map(int, written))
        print(json.dumps({"rows": int(written[0])}))
        return
    began = time.monotonic()
    found = dict(duckdb.execute(COMPARE.format(ours=ours, theirs=theirs)).fetchall())
    print(json.dumps({"seconds": time.monotonic() - began, "found": found}))


def write(ours: Path, theirs: Path, count: int, every: int) -> None:
    """So many rows on each side, as `loaded` makes them in the databases."""
    step = 3 * every
    moved, changed = (f"CASE WHEN n % {step} = {times * every} THEN {{}} ELSE 0 END" for times in (2, 1))
    duckdb.execute(ROWS.format(id="n", more=0, where="true", file=ours, count=count))
    other = {"id": f"n + {moved.format(10 * count)}", "more": changed.format(0.01), "where": f"n % {step} <> 0"}
    duckdb.execute(ROWS.format(file=theirs, count=count, **other))


if __name__ == "__main__":
    main()
