"""One part of `bench.live`, in a process of its own: `begin`, `ours`, `reader` or `follow`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator

import asyncpg

import tieout
from tieout.feeds import Committed, PostgresFeed
from tieout.recon import reached, same, side
from tieout.recon.live import Live

SAMPLE = 7
"""Every so many of the keys' waits are noted."""

app = tieout.App(os.environ["LIVE_APP"], sweep=False, migrate=True)
app.rule(
    "live",
    upstream=side(
        os.environ["LIVE_UP"], table="change", key="id", when=reached("state", {"done", "closed"}), at="done"
    ),
    downstream=side(
        os.environ["LIVE_DOWN"], table="prize", key="change_id", when=reached("state", {"issued"}), at="issued"
    ),
    agree=[same("sku"), same("quantity", "qty"), same("cost", "value")],
)
TABLES = {
    "UP": {"public.change": ["id", "state", "sku", "quantity", "cost", "done"]},
    "DOWN": {"public.prize": ["change_id", "state", "sku", "qty", "value", "issued"]},
}


def feeds() -> dict[str, PostgresFeed]:
    """Readers by their slots, which are their own."""
    return {
        f"reader_{name.lower()}": PostgresFeed(os.environ[f"LIVE_{name}"], tables=tables, slot=f"reader_{name.lower()}")
        for name, tables in TABLES.items()
    }


@contextlib.asynccontextmanager
async def following() -> AsyncIterator[None]:
    watching = app.recon.watching()
    task = asyncio.create_task(watching.watch_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def tied(count: int) -> None:
    """Wait until so many pairs are tied, durably."""
    connection = await asyncpg.connect(os.environ["LIVE_APP"])
    while True:
        totals = await connection.fetchval("SELECT totals FROM tieout_recon_rule")
        if totals and json.loads(totals).get("tied", 0) >= count:
            break
        await asyncio.sleep(0.05)
    await connection.close()


async def begin() -> None:
    """Have the rule followed once, so that its slots are there; and those of the reader."""
    async with app:
        watching = app.recon.watching()
        task = asyncio.create_task(watching.watch_forever())
        ready = asyncio.create_task(watching.watched.wait())
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait([task])
    for feed in feeds().values():
        await feed.open()
        await feed.close()


async def ours(pairs: int, total: int) -> float:
    """Row events per second until all pairs are tied."""
    async with app:
        begun = time.perf_counter()
        async with following():
            await tied(total)
            return 2 * pairs / (time.perf_counter() - begun)


async def reader(pairs: int) -> float:
    """Row events per second until all are decoded and counted."""

    async def read(slot: str, feed: PostgresFeed) -> None:
        connection = await asyncpg.connect(os.environ["LIVE_UP"])
        kept = await connection.fetchval(
            "SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = $1", slot
        )
        await connection.close()
        here = await feed.here()
        await feed.open(here.__class__(here.history, int(kept)))
        seen = 0
        while seen < pairs:
            told = await feed.take()
            seen += sum(len(one.changes) for one in told if isinstance(one, Committed))
        await feed.confirm(told[-1].position)
        await feed.close()

    begun = time.perf_counter()
    await asyncio.gather(*(read(slot, feed) for slot, feed in feeds().items()))
    return 2 * pairs / (time.perf_counter() - begun)


async def follow(first: int, last: int, pairs_a_second: float) -> dict[str, float]:
    """Milliseconds from commit to verdict while rows are committed at a rate."""
    waits: list[float] = []
    note = Live._note_kept  # noqa: SLF001 - the one place that knows when what is durable

    def noted(self, work, done):
        note(self, work, done)
        now = time.time() * 1e6
        keys = [facts for several in work.facts.values() for facts in several.values()]
        waits.extend((now - facts[-1].at) / 1e3 for facts in keys[::SAMPLE])

    Live._note_kept = noted  # noqa: SLF001 - as above
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.live_load", name, str(first), str(last), str(pairs_a_second)
        )
        for name in TABLES
    ]
    async with app, following():
        await tied(last)
        for writer in writers:
            await writer.wait()
    waits.sort()
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[int(len(waits) * 0.99)]}


def main() -> None:
    """Run a part; print what it measured as the last line."""
    part, *numbers = sys.argv[1:]
    match part:
        case "begin":
            asyncio.run(begin())
            print("{}")
        case "ours":
            print(json.dumps({"rate": asyncio.run(ours(int(numbers[0]), int(numbers[1])))}))
        case "reader":
            print(json.dumps({"rate": asyncio.run(reader(int(numbers[0])))}))
        case "follow":
            print(json.dumps(asyncio.run(follow(int(numbers[0]), int(numbers[1]), float(numbers[2])))))


if __name__ == "__main__":
    main()
