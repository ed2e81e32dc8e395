"""reladiff over two databases: `python -m bench.offline_reladiff UPSTREAM DOWNSTREAM`, in its own environment.

As its manual recommends it for two databases: by hashes, keyed by the primary key, with the columns that have to agree.
Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

from reladiff import Algorithm, connect_to_table, diff_tables

COLUMNS = ("amount", "currency")


def main() -> None:
    """Compare, and count what it says."""
    ours, theirs = (connect_to_table(url, "payment", "id", extra_columns=COLUMNS) for url in sys.argv[1:3])
    began = time.monotonic()
    signs: dict[str, set[str]] = {"-": set(), "+": set()}
    for sign, row in diff_tables(ours, theirs, algorithm=Algorithm.HASHDIFF, threaded=True, max_threadpool_size=4):
        signs[sign].add(row[0])
    seconds = time.monotonic() - began
    both = signs["-"] & signs["+"]
    found = Counter(missing=len(signs["-"] - both), orphan=len(signs["+"] - both), differs=len(both))
    print(json.dumps({"seconds": seconds, "found": found}))


if __name__ == "__main__":
    main()
