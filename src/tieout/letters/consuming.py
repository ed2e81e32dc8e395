"""The loops of consumers: one for each source, so that none keeps the others waiting, and one for its letters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, ClassVar, TypeVar

from tieout.contracts import Channel, Database, Delivery, Subscription
from tieout.errors import ConfigError, DatabaseError, DefinitionError
from tieout.identity import key_bytes
from tieout.letters.store import Letter, LetterStore
from tieout.letters.taking import Effect, Means, OnDead, Taking, Transact, Within
from tieout.messages.rules import address
from tieout.messages.store import Inbox
from tieout.payloads import PLAIN, Payloads

T = TypeVar("T")

log = logging.getLogger("tieout.letters")

BATCH = 200
"""Messages that are received, and acknowledged, at a time."""

IN_FLIGHT = 64
"""Messages of one source that are worked on at a time, each of another key."""

FIRST_PAUSE = 0.25
"""Seconds until a broker, or a database, that did not answer is asked again; doubled for each further time."""

LONGEST_PAUSE = 30.0
"""The longest such pause, in seconds."""

LETTERS_EVERY = 2.0
"""Seconds between two looks for letters that are due."""


class Consuming:
    """Consumes what was declared, on the event loop."""

    within: ClassVar[Within] = asyncio.timeout

    def __init__(
        self,
        database: Database,
        transact: Transact,
        inbox: Inbox,
        chance: Random,
        on_dead: OnDead,
        payloads: Payloads = PLAIN,
    ) -> None:
        self.store = LetterStore(database.dialect, payloads)
        self.sources: dict[str, Taking] = {}
        self._database = database
        self._chance = chance
        self._means = Means(transact, inbox, self.store, on_dead, type(self).within)
        self._loops: list[asyncio.Task[None]] = []

    def declare(self, source: str, effect: Effect) -> None:
        """Let messages of `channel/topic` have an effect; raise `ConfigError` or `DefinitionError`."""
        address(source)
        key_bytes(source, "address")
        if source in self.sources:
            raise DefinitionError(f"messages of {source!r} are consumed already")
        self.sources[source] = Taking(source, effect, self._means)

    def check(self, channels: Mapping[str, Channel]) -> None:
        """Raise `ConfigError` when a channel is not there, or nothing comes in from it."""
        for source in self.sources:
            channel = channels.get(address(source).channel)
            if channel is None or not hasattr(channel, "subscribe"):
                what = "there is no such channel" if channel is None else "nothing comes in from this channel"
                raise ConfigError(f"messages of {source!r} cannot be consumed: {what}")

    def start(self, channels: Mapping[str, Channel]) -> None:
        """Begin to consume."""
        for source, taking in self.sources.items():
            name, topic = address(source).channel, address(source).topic
            channel_of: Any = channels[name]
            self._loops.append(asyncio.create_task(self._consume_forever(taking, partial(channel_of.subscribe, topic))))
            self._loops.append(asyncio.create_task(self._retry_forever(taking)))

    async def close(self) -> None:
        """Stop consuming; what was not acknowledged is delivered to others, who know what was done of it."""
        loops, self._loops = self._loops, []
        if not loops:  # a blocking App has none, and no event loop to gather on
            return
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do what reads and writes the database."""
        return await work()

    async def _consume_forever(self, taking: Taking, subscribe: Callable[[], Awaitable[Subscription]]) -> None:
        pause = Pause(self._chance)
        while True:
            try:
                subscription = await subscribe()
                try:
                    while True:
                        batch = await subscription.receive(BATCH)
                        await self.take_all(taking, batch)
                        await subscription.acknowledge(batch)
                        pause.over()
                finally:
                    await subscription.close()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the broker does
                log.warning("%s: nothing comes in, it is asked again: %r", taking.source, error)
            await pause.take()

    async def take_all(self, taking: Taking, batch: Sequence[Delivery]) -> None:
        """Take in a batch, each key's in order, trying again for as long as the database cannot be written."""
        room = asyncio.Semaphore(IN_FLIGHT)

        async def take(deliveries: Sequence[Delivery]) -> None:
            async with room:
                for delivery in deliveries:
                    await self._until_taken(taking, delivery)

        async with asyncio.TaskGroup() as group:
            for deliveries in by_key(batch):
                group.create_task(take(deliveries))

    async def _until_taken(self, taking: Taking, delivery: Delivery) -> None:
        pause = Pause(self._chance)
        while True:
            try:
                return await self.do(partial(taking.take, delivery))
            except DatabaseError as error:
                log.warning("%s: a message waits for the database: %s", taking.source, error)
            await pause.take()

    async def _retry_forever(self, taking: Taking) -> None:
        source = taking.source.encode()
        while True:
            try:
                due = await self.do(partial(self._due, source))
                for letter in due:
                    await self.do(partial(taking.retry, letter))
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the database does
                log.warning("%s: its letters cannot be tried again now: %s", taking.source, error)
            await asyncio.sleep(LETTERS_EVERY * (0.5 + self._chance.random() / 2))

    async def _due(self, source: bytes) -> Sequence[Letter]:
        return await self._database.read(partial(self.store.due, source=source, limit=BATCH))


class Pause:
    """Pauses that grow until something has worked."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._seconds = FIRST_PAUSE

    def over(self) -> None:
        self._seconds = FIRST_PAUSE

    async def take(self) -> None:
        await asyncio.sleep(self._seconds * (0.5 + self._chance.random() / 2))
        self._seconds = min(2 * self._seconds, LONGEST_PAUSE)


def by_key(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """A batch in parts that may be worked on at the same time: the messages of one key are one part, in order."""
    keyed: dict[str, list[Delivery]] = {}
    parts: list[list[Delivery]] = []
    for delivery in batch:
        if not delivery.key or delivery.key not in keyed:
            parts.append([])
            keyed[delivery.key] = parts[-1]
        keyed[delivery.key].append(delivery)
    return parts
