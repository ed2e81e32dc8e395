"""A channel that keeps what it is given, and refuses or fails as a test tells it to."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from tieout.errors import RetryTransaction
from tieout.eventloop import LoopCaller, LoopClock
from tieout.messages import Outbox, Relay


class Shelf:
    """Confirms everything, except what it is told to refuse; fails as often as it is told to, before or after."""

    def __init__(self):
        self.messages = []
        self.refuses = {}
        self.fails_before = 0
        self.fails_after = 0
        self.during = None
        self.is_open = False

    async def open(self):
        self.is_open = True

    async def close(self):
        self.is_open = False

    async def publish(self, messages):
        keys = [message.key for message in messages if message.key]
        assert len(keys) == len(set(keys))
        if self.fails_before:
            self.fails_before -= 1
            raise ConnectionError("not reached")
        self.messages += [message for message in messages if message.body not in self.refuses]
        if self.during:
            await self.during()
        if self.fails_after:
            self.fails_after -= 1
            raise ConnectionError("the answer was lost")
        return [self.refuses.get(message.body) for message in messages]

    @property
    def bodies(self):
        return [message.body for message in self.messages]


def relay(database, shelf, node="node"):
    return Relay("shelf", shelf, database, LoopClock(), LoopCaller(), Random(7), node)


async def write(database, *bodies, key="", to="shelf/t"):
    outbox = Outbox(database.dialect)

    async def work(tx):
        return [await outbox.add(tx, to, body, key=key) for body in bodies]

    return await database.transact(work)


async def waiting(database):
    """How many messages wait, for each channel."""
    outbox = Outbox(database.dialect)
    return {one.channel: one.messages for one in await database.read(outbox.waiting)}


async def make_due(database):
    """Let the time pass that messages wait for."""
    await pass_time(database, "UPDATE tieout_outbox SET due = due - 3600000000")


async def pass_time(database, update):
    """Run a statement on many rows, again while it meets somebody at work on them in another order."""
    while True:
        with suppress(RetryTransaction):
            return await database.transact(lambda tx: tx.execute(update))


async def end_leases(database):
    await database.transact(lambda tx: tx.execute("UPDATE tieout_lease SET until = 1"))
