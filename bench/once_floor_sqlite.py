"""The same handler by hand on sqlite3: one writer thread that commits what has queued in one COMMIT, without tieout.

`python -m bench.once_floor_sqlite FILE BATCH IN_FLIGHT REQUESTS`, where BATCH is the most transactions of one commit.
Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from typing import Any
from uuid import uuid4

from bench.once_by_hand import SKUS, fingerprint
from bench.pacing import drive
from bench.redeem_floor_sqlite import Writer

TAKE = "UPDATE stock SET pieces = pieces - ? WHERE sku = ? AND pieces >= ?"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES (?, ?, ?)"
KEEP = "INSERT INTO answered (owner, request_key, fingerprint, answer) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


async def run(file: str, batch: int, in_flight: int, requests: int) -> dict[str, float]:
    writer = Writer(file, batch, asyncio.get_running_loop(), count=False)
    writer.start()

    def issue(owner: str, key: str, params: dict[str, Any]) -> Any:
        def work(cursor: sqlite3.Cursor) -> dict[str, Any]:
            sku, quantity = params["sku"], params["quantity"]
            if cursor.execute(TAKE, (quantity, sku, quantity)).rowcount != 1:
                raise ValueError("sold out")
            answer = {"code": uuid4().hex}
            cursor.execute(ISSUE, (answer["code"], sku, quantity))
            kept = cursor.execute(KEEP, (owner, key, fingerprint(params), json.dumps(answer)))
            if kept.rowcount != 1:
                raise ValueError("a new key was there")
            return answer

        return work

    async def one(number: int) -> None:
        await writer.transact(issue("mall", uuid4().hex, {"sku": f"sku{number % SKUS}", "quantity": 2}))

    result = await drive(one, requests, in_flight)
    writer.queue.put(None)
    writer.join()
    return result | {"commits": writer.commits}


if __name__ == "__main__":
    _, file, batch, in_flight, requests = sys.argv
    print(json.dumps(asyncio.run(run(file, int(batch), int(in_flight), int(requests)))))
