"""A channel that hands out what a test has put on it, again and again until it is acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from tests.messages.shelf import Shelf, pass_time
from tieout import Delivery

SECONDS = 60
"""Longest that a test waits for what has to come."""


class Belt(Shelf):
    """Hands out messages in order; what was not acknowledged when a subscription is closed is handed out again."""

    def __init__(self):
        super().__init__()
        self.waiting = deque()
        self.acknowledged = []
        self.refuses_to_subscribe = 0
        self.loses_acknowledgements = 0
        self.changed = asyncio.Event()

    def put(self, *deliveries):
        self.waiting.extend(deliveries)
        self.changed.set()

    async def subscribe(self, topic):
        if self.refuses_to_subscribe:
            self.refuses_to_subscribe -= 1
            raise ConnectionError("not reached")
        return Hand(self)

    async def until_acknowledged(self, count):
        async with asyncio.timeout(SECONDS):
            while len(self.acknowledged) < count:
                self.changed.clear()
                await self.changed.wait()


class Hand:
    def __init__(self, belt):
        self.belt = belt
        self.held = []

    async def receive(self, limit):
        while not self.belt.waiting:
            self.belt.changed.clear()
            await self.belt.changed.wait()
        self.held = [self.belt.waiting.popleft() for _ in range(min(limit, len(self.belt.waiting)))]
        return self.held

    async def acknowledge(self, deliveries):
        assert deliveries == self.held
        if self.belt.loses_acknowledgements:
            self.belt.loses_acknowledgements -= 1
            raise ConnectionError("the acknowledgement was lost")
        self.belt.acknowledged += deliveries
        self.held = []
        self.belt.changed.set()

    async def close(self):
        self.belt.waiting.extendleft(reversed(self.held))
        self.held = []


def delivery(number, body=b"{}", key="", headers=None):
    """A message; a body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery(str(number), "t", key, headers or {}, raw)


async def until(found):
    """Ask again until `found` answers with something; what it answered."""
    async with asyncio.timeout(SECONDS):
        while not (answer := await found()):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.02)
    return answer


async def letters(app):
    """The letters, by the ids of their messages."""
    return sorted(await app.letters.list(), key=lambda letter: letter.message_id)


async def make_due(app):
    """Let the time pass that letters wait for."""
    await pass_time(app.database, "UPDATE tieout_letter SET due = due - 3600000000 WHERE due IS NOT NULL")
