"""A service that dies at its work: `python -m tests.once.hanging URL`, to be killed once it has printed a line."""

from __future__ import annotations

import asyncio
import sys
import time

from tests.once.place import Prize, give
from tieout import App, Transaction


async def main(url: str) -> None:
    app = App(url, sweep=False, migrate=False)

    @app.once("issue-prize")
    async def issue(tx: Transaction, sku: str, quantity: int = 1) -> Prize:
        await give(tx, "", sku, quantity)
        print("at work", flush=True)
        if tx.dialect == "sqlite":
            time.sleep(60)  # noqa: ASYNC251 - a step on SQLite awaits nothing
        await asyncio.sleep(60)
        return Prize("never")

    async with app:
        await issue.run("k1", sku="mug")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
