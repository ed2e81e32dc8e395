"""dlt's side of `bench.sync`, run by the Python of an environment that has dlt: `python -m bench.sync_dlt URL HOTELS`.

Its merge by primary key with the strategy *upsert*, from Arrow tables, loaded as CSV by COPY. It prints its rates.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
import pyarrow as pa
from dlt.destinations import postgres

from bench.rooms import Rooms

CASES = {"load": None, "unchanged": None, "random": Rooms.change, "clustered": Rooms.burst}


def table(rooms: Rooms) -> pa.Table:
    """All cells."""
    rows = [row for hotel in range(rooms.hotels) for row in rooms.cells(hotel)]
    item, day, price, stock, is_open = zip(*rows, strict=True)
    return pa.table(
        {
            "item": pa.array(item),
            "day": pa.array(day, pa.date32()),
            "price": pa.array(price, pa.int32()),
            "stock": pa.array(stock, pa.int16()),
            "open": pa.array(is_open),
        }
    )


def main(url: str, hotels: int) -> None:
    """Store everything in each case."""
    rooms, rates = Rooms(hotels), {}
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench", pipelines_dir=folder, destination=postgres(credentials=url), dataset_name="bench"
        )
        for case, change in CASES.items():
            if change is not None:
                change(rooms)
            given = table(rooms)
            resource = dlt.resource(
                given,
                name="cell",
                write_disposition={"disposition": "merge", "strategy": "upsert"},
                primary_key=("item", "day"),
            )
            begun = time.perf_counter()
            pipeline.run(resource, loader_file_format="csv").raise_on_failed_jobs()
            rates[case] = rooms.size / (time.perf_counter() - begun)
    print(json.dumps(rates))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(sys.argv[1], int(sys.argv[2]))
