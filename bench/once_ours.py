"""The handler under `once`: `python -m bench.once_ours URL IN_FLIGHT REQUESTS`. Prints one JSON line."""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import uuid4

import msgspec

import tieout
from bench.once_by_hand import SKUS
from bench.pacing import drive
from tieout import Transaction

TAKE = "UPDATE stock SET pieces = pieces - :quantity WHERE sku = :sku AND pieces >= :quantity"
ISSUE = "INSERT INTO prize (code, sku, quantity) VALUES (:code, :sku, :quantity)"


class Prize(msgspec.Struct, frozen=True):
    """The answer."""

    code: str


async def run(url: str, in_flight: int, requests: int) -> dict[str, float]:
    app = tieout.App(url, sweep=False, migrate=False)

    @app.once("issue-prize")
    async def issue(tx: Transaction, sku: str, quantity: int) -> Prize:
        if await tx.execute(TAKE, sku=sku, quantity=quantity) != 1:
            raise tieout.Refused("sold out")
        code = uuid4().hex
        await tx.execute(ISSUE, code=code, sku=sku, quantity=quantity)
        return Prize(code)

    async def one(number: int) -> None:
        answered = await issue.run(uuid4().hex, owner="mall", sku=f"sku{number % SKUS}", quantity=2)
        if answered.replayed:
            raise SystemExit("a new key was replayed")

    async with app:
        commits = getattr(app.database, "commits", 0)
        result = await drive(one, requests, in_flight)
        return result | {"commits": getattr(app.database, "commits", 0) - commits}


if __name__ == "__main__":
    _, url, in_flight, requests = sys.argv
    print(json.dumps(asyncio.run(run(url, int(in_flight), int(requests)))))
