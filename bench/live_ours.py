"""One part of `bench.live`, in a process of its own: `begin`, `ours`, `reader`, `told` or `follow`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import tieout
from bench.live_sources import TABLES
from tieout.feeds import Committed, Feed, MySqlFeed, Position, PostgresFeed
from tieout.recon import reached, same, side
from tieout.recon.fact_store import FactStore
from tieout.recon.live import Live

Places: TypeAlias = dict[str, str]
"""How far each feed was read."""

SAMPLE = 7
"""Every so many of the keys' waits are noted."""

KEYS = {"UP": "id", "DOWN": "change_id"}
COLUMNS = ["state", "sku", "quantity", "cost", "done"]

app = tieout.App(os.environ["LIVE_APP"], sweep=False, migrate=True)
ours, theirs = (
    side(os.environ[f"LIVE_{name}"], table=table, key=KEYS[name], when=reached("state", {"done"}), at="done")
    for name, table in TABLES.items()
)
app.rule("live", upstream=ours, downstream=theirs, agree=[same("sku"), same("quantity"), same("cost")])


def feeds() -> dict[str, Feed]:
    """Readers by the slots that are theirs alone."""
    return {f"reader_{name.lower()}": _feed(name, table) for name, table in TABLES.items()}


def _feed(name: str, table: str) -> Feed:
    url, columns = os.environ[f"LIVE_{name}"], [KEYS[name], *COLUMNS]
    if url.startswith("mysql"):
        return MySqlFeed(url, tables={table: columns}, server_id=500 + len(name))
    return PostgresFeed(url, tables={f"public.{table}": columns}, slot=f"reader_{name.lower()}")


@contextlib.asynccontextmanager
async def following() -> AsyncIterator[None]:
    watching = app.recon.watching()
    task = asyncio.create_task(watching.watch_forever())
    ready = asyncio.create_task(watching.watched.wait())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        gc.freeze()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def freeze() -> None:
    """Keep the collector of garbage away from what stays, as `tieout recon worker` does."""
    gc.collect()
    gc.freeze()


async def tied(count: int) -> None:
    """Wait until so many pairs are tied, durably."""
    store = FactStore(app.database.dialect)
    while True:
        rules = await app.database.read(store.rules)
        if rules["live"].totals.get("tied", 0) >= count:
            return
        await asyncio.sleep(0.05)


async def begin() -> Places:
    """Have the rule followed once, so that it goes on from there; and say where the reader begins."""
    async with app, following():
        pass
    places = {}
    for name, feed in feeds().items():
        places[name] = (await feed.open()).text()
        await feed.close()
    return places


async def follow_all(pairs: int, total: int) -> float:
    """Row events per second until all pairs are tied."""
    async with app:
        freeze()
        begun = time.perf_counter()
        async with following():
            await tied(total)
            return 2 * pairs / (time.perf_counter() - begun)


async def read_all(pairs: int, places: Places) -> float:
    """Row events per second until all are decoded and counted; the next reading goes on there."""

    async def read(name: str, feed: Feed) -> None:
        await feed.open(Position.parse(places[name]))
        seen = 0
        while seen < pairs:
            told = await feed.take()
            seen += sum(len(one.changes) for one in told if isinstance(one, Committed))
        await feed.confirm(told[-1].position)
        places[name] = told[-1].position.text()
        await feed.close()

    freeze()
    begun = time.perf_counter()
    await asyncio.gather(*(read(name, feed) for name, feed in feeds().items()))
    return 2 * pairs / (time.perf_counter() - begun)


async def told_of(count: int, places: Places) -> list[object]:
    """What one side has done, transaction by transaction; the next reading goes on there."""
    feed = feeds()["reader_up"]
    await feed.open(Position.parse(places["reader_up"]))
    found: list[Committed] = []
    while sum(len(one.changes) for one in found) < count:
        found += [one for one in await feed.take(1) if isinstance(one, Committed)]
    places["reader_up"] = found[-1].position.text()
    await feed.confirm(found[-1].position)
    await feed.close()
    return [[one.position.text(), [[change.before, change.after] for change in one.changes]] for one in found]


async def follow(first: int, last: int, pairs_a_second: float) -> dict[str, float]:
    """Milliseconds from commit to verdict while rows are committed at a rate; a row says when, just before."""
    waits: list[float] = []
    note = Live._note_kept  # noqa: SLF001 - the one place that knows when what is durable

    def noted(self, work, done):
        note(self, work, done)
        now = time.time() * 1e6
        keys = [facts for several in work.facts.values() for facts in several.values()]
        waits.extend((now - facts[-1].come.at) / 1e3 for facts in keys[::SAMPLE])

    Live._note_kept = noted  # noqa: SLF001 - as above
    freeze()
    async with app, following():
        writers = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.live_load", name, str(first), str(last), str(pairs_a_second)
            )
            for name in TABLES
        ]
        await tied(last)
        for writer in writers:
            await writer.wait()
    waits.sort()
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[int(len(waits) * 0.99)]}


def main() -> None:
    """Run a part; print what it measured as the last line."""
    part, *numbers = sys.argv[1:2] + sys.argv[3:]
    kept = Path(sys.argv[2])
    match part:
        case "begin":
            kept.write_text(json.dumps(asyncio.run(begin())))
            print("{}")
        case "ours":
            print(json.dumps({"rate": asyncio.run(follow_all(int(numbers[0]), int(numbers[1])))}))
        case "reader":
            places = json.loads(kept.read_text())
            print(json.dumps({"rate": asyncio.run(read_all(int(numbers[0]), places))}))
            kept.write_text(json.dumps(places))
        case "told":
            places = json.loads(kept.read_text())
            print(json.dumps({"told": asyncio.run(told_of(int(numbers[0]), places))}))
            kept.write_text(json.dumps(places))
        case "follow":
            print(json.dumps(asyncio.run(follow(int(numbers[0]), int(numbers[1]), float(numbers[2])))))


if __name__ == "__main__":
    main()
