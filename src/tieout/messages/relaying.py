"""The loops of the relays: one for each channel, so that one that does not answer keeps none of the others waiting."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from random import Random

from tieout.contracts import Caller, Channel, Clock, Database
from tieout.errors import DatabaseError
from tieout.messages.relay import LEASE_SECONDS, Came, Relay
from tieout.payloads import PLAIN, Payloads

log = logging.getLogger("tieout.messages")

POLL = 0.25
"""Seconds between two looks into an outbox in which nothing was due."""

LONGEST_PAUSE = 30.0
"""Longest pause in seconds while a channel, or the database, does not answer; it begins with `POLL`, and doubles."""


class Relaying:
    """Runs relays on the event loop."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self.relays = relays
        self._opened: list[Relay] = []
        self._loops: list[asyncio.Task[None]] = []

    @classmethod
    def over(
        cls,
        channels: Mapping[str, Channel],
        database: Database,
        clock: Clock,
        caller: Caller,
        chance: Random,
        payloads: Payloads = PLAIN,
    ) -> Relaying:
        """The relays of channels, by name."""
        node = f"{os.uname().nodename}:{os.getpid()}"
        parts = (database, clock, caller, chance, node)
        return cls([Relay(name, channel, *parts, payloads=payloads) for name, channel in channels.items()])

    async def start(self, *, send: bool = True) -> None:
        """Open the channels, and begin to send unless told not to; when one cannot be opened, all are closed again."""
        for relay in self.relays:
            try:
                await relay.channel.open()
            except BaseException:
                await self.close()
                raise
            self._opened.append(relay)
            if send:
                self._loops.append(asyncio.create_task(_send_forever(relay)))

    async def close(self) -> None:
        """Stop sending, and let other nodes go on at once; what was sent but not noted is sent again by them."""
        loops, self._loops = self._loops, []
        opened, self._opened = self._opened, []
        if not opened:  # a blocking App has none, and no event loop to gather on
            return
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        for relay in opened:
            try:
                await relay.release()
            except DatabaseError as error:
                log.warning("the lease of channel %s ends by itself: %s", relay.name, error)
            finally:
                await relay.channel.close()


async def _send_forever(relay: Relay) -> None:
    pause = POLL
    while True:
        try:
            came: Came = await relay.round()
        except Exception as error:  # noqa: BLE001 - the loop outlives whatever the database does
            log.warning("channel %s: the outbox cannot be read or written: %s", relay.name, error)
            came = "broken"
        pause = min(2 * pause, LONGEST_PAUSE) if came == "broken" else POLL
        wait = {"sent": 0.0, "elsewhere": LEASE_SECONDS / 6}.get(came, pause)
        await asyncio.sleep(wait * (0.5 + relay.chance.random() / 2))
