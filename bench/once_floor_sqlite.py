"""The same handler by hand on sqlite3: one writer thread that commits what has queued in one COMMIT, without tieout.

`python bench/once_floor_sqlite.py FILE BATCH IN_FLIGHT REQUESTS`, where BATCH is the most transactions of one commit.
Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from typing import Any
from uuid import uuid4

from once_floor_postgres import SKUS, fingerprint
from redeem_floor_sqlite import Writer

TAKE = "UPDATE stock SET pieces = pieces - ? WHERE sku = ? AND pieces >= ?"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES (?, ?, ?)"
KEEP = "INSERT INTO answered (owner, request_key, fingerprint, answer) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


async def run(file: str, batch: int, in_flight: int, requests: int) -> dict[str, float]:
    writer = Writer(file, batch, asyncio.get_running_loop(), count=False)
    writer.start()
    left = iter(range(requests))

    def issue(owner: str, key: str, params: dict[str, Any]) -> Any:
        def work(cursor: sqlite3.Cursor) -> dict[str, Any]:
            sku, quantity = params["sku"], params["quantity"]
            if cursor.execute(TAKE, (quantity, sku, quantity)).rowcount != 1:
                raise SystemExit("sold out")
            answer = {"code": uuid4().hex}
            cursor.execute(ISSUE, (answer["code"], sku, quantity))
            kept = cursor.execute(KEEP, (owner, key, fingerprint(params), json.dumps(answer)))
            if kept.rowcount != 1:
                raise SystemExit("a new key was there")
            return answer

        return work

    async def client() -> None:
        for number in left:
            await writer.transact(issue("mall", uuid4().hex, {"sku": f"sku{number % SKUS}", "quantity": 2}))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    writer.queue.put(None)
    writer.join()
    return {"rate": requests / seconds, "cpu": cpu / seconds, "commits": writer.commits}


if __name__ == "__main__":
    _, file, batch, in_flight, requests = sys.argv
    print(json.dumps(asyncio.run(run(file, int(batch), int(in_flight), int(requests)))))
