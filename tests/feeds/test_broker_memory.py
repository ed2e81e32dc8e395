"""A feed from messages that are about other tables: what it cannot acknowledge yet is not kept whole."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

from tests.feeds.written import envelope, source
from tieout.contracts import Delivery
from tieout.database import connect
from tieout.feeds import BrokerFeed, Debezium

BODY = 10_000
MESSAGES = 2_000


class Log:
    """A log of messages about another table, and one at its end that is of ours; it notes what is acknowledged."""

    is_log = True

    def __init__(self) -> None:
        self.given, self.acknowledged, self.is_taken_in = 0, [], asyncio.Event()

    async def subscribe(self, topic: str):
        return self

    async def ends(self, topic: str):
        return {}

    async def receive(self, limit: int):
        if self.given > MESSAGES:
            self.is_taken_in.set()
            await asyncio.Event().wait()
        count = min(limit, MESSAGES - self.given) or 1
        self.given += count
        return [self._message(number) for number in range(self.given - count, self.given)]

    async def acknowledge(self, deliveries) -> None:
        self.acknowledged += [one.receipt for one in deliveries]

    async def close(self) -> None:
        pass

    def _message(self, number: int) -> Delivery:
        table = "t" if number == MESSAGES else "other"
        told = envelope("c", None, {"id": number, "v": "x" * BODY}, source(100 + number, 99 + number, table=table))
        told["source"]["ts_ms"] = 1 << 42
        return Delivery("", "topic", "", {}, json.dumps(told).encode(), number, ("log", number))


async def test_what_is_passed_over_is_not_kept_until_it_is_acknowledged() -> None:
    """However long nothing of ours comes, or nobody takes: the broker has those messages, and memory has not."""
    log = Log()
    feed = BrokerFeed(log, "topic", Debezium({"t": ["id"]}), database=connect("sqlite://"))
    tracemalloc.start()
    try:
        await feed.open()
        await log.is_taken_in.wait()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < MESSAGES * BODY / 10
    told = []
    while not any(getattr(one, "changes", ()) for one in told):
        told += await feed.take()
    await feed.confirm(told[-1].position)
    assert log.acknowledged[-1] == MESSAGES and log.acknowledged == sorted(log.acknowledged)
    await feed.close()
