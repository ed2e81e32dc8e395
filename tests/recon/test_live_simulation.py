"""Two feeds that lag, repeat themselves and break off, and a node that dies again and again: an independent judge.

Each seed draws what happens to both sides and to whoever follows them. Once that stops, the breaks that are open have
to be those that plain queries find in the sources, and no feed may be said to have missed anything.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from random import Random

import pytest

from tests.recon.test_live import Shop

SEEDS = range(5)
STEPS = 120
KEYS = 25


class Story:
    """What happens to two sides, drawn from a seed."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.chance, self.fired = shop, Random(f"live {seed}"), Counter()

    def step(self) -> None:
        key, chance = self.chance.randrange(KEYS), self.chance
        source = chance.choice([self.shop.ours, self.shop.theirs])
        table, name, value = ("change", "id", "cost") if source is self.shop.ours else ("prize", "change_id", "value")
        insert = self.shop.change if source is self.shop.ours else self.shop.prize
        act = chance.choices(["pair", "one", "change", "delete", "move", "state"], [40, 25, 10, 10, 5, 10])[0]
        self.fired[act] += 1
        if act == "pair":
            self.shop.change(key)
            self.shop.prize(key)
        elif act == "one":
            insert(key, cost=chance.choice([10, 10, 11]))
        elif act == "change":
            source.run(f"UPDATE {table} SET {value} = {chance.choice([10, 11])} WHERE {name} = {key}")
        elif act == "delete":
            source.run(f"DELETE FROM {table} WHERE {name} = {key}")
        elif act == "move":
            source.run(f"UPDATE {table} SET {name} = {chance.randrange(KEYS)} WHERE {name} = {key}")
        else:
            source.run(f"UPDATE {table} SET state = '{chance.choice(['done', 'issued', 'void'])}' WHERE {name} = {key}")

    async def trouble(self) -> None:
        """Something happens to a feed, for a while."""
        source = self.chance.choice([self.shop.ours, self.shop.theirs])
        kind = self.chance.choice(["lag", "away", "deaf", "none", "none"])
        self.fired[kind] += 1
        if kind == "lag":
            source.held = self.chance.randrange(1, 30)
        source.broken, source.deaf = kind == "away", kind == "deaf"
        await asyncio.sleep(self.chance.uniform(0, 0.15))
        source.held, source.broken, source.deaf = 0, False, False


def judged(shop: Shop) -> dict[str, str]:
    """The breaks that there are, by plain queries."""
    sides = []
    for source, sql in (
        (shop.ours, "SELECT id, sku, cost FROM change WHERE state = 'done'"),
        (shop.theirs, "SELECT change_id, sku, value FROM prize WHERE state = 'issued'"),
    ):
        rows = defaultdict(list)
        with closing(sqlite3.connect(source.file)) as database:
            for key, *values in database.execute(sql):
                rows[str(key)].append(values)
        sides.append(rows)
    ours, theirs = sides
    found = {}
    for key in ours.keys() | theirs.keys():
        one, other = ours.get(key, []), theirs.get(key, [])
        if len(one) > 1 or len(other) > 1:
            found[key] = "duplicate"
        elif not other:
            found[key] = "missing"
        elif not one:
            found[key] = "orphan"
        elif one != other:
            found[key] = "differs"
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_open_is_what_is_there(app, tmp_path, seed) -> None:
    """After lags, repetitions, broken connections and dying nodes, live says what an independent judge does."""
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        shop.rule(grace="0.1s")
        story = Story(shop, seed)
        shop.ours.doubles = shop.theirs.doubles = True
        for _ in range(4):
            async with shop.watched():
                for _ in range(STEPS // 4):
                    story.step()
                    await asyncio.sleep(story.chance.uniform(0, 0.01))
                    if story.chance.random() < 0.15:
                        await story.trouble()
            for _ in range(5):
                story.step()
        async with shop.watched():
            await shop.until_counted(waiting=0, doubtful=0)
            await shop.until(shop.breaks, judged(shop))
            assert not await opened.alarms.list(kind="feed-gap")
    assert min(story.fired[kind] for kind in ("pair", "one", "change", "delete", "move", "state")) > 0
    assert story.fired["lag"] + story.fired["away"] + story.fired["deaf"] > 0
