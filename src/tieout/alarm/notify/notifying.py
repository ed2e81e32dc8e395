"""The loop that tells of alarms, and the relays that send for each route."""

from __future__ import annotations

import asyncio
import logging
import os
from random import Random

from tieout.alarm.notify.receivers import receiver
from tieout.alarm.notify.routing import CHANNEL, AlarmSettings
from tieout.alarm.notify.telling import Telling
from tieout.alarm.store import AlarmStore
from tieout.contracts import Caller, Clock, Database
from tieout.errors import DatabaseError
from tieout.messages import Outbox, Relaying
from tieout.payloads import PLAIN, Payloads

log = logging.getLogger("tieout.alarm")

POLL = 1.0
"""Seconds between two looks at alarms; less a half of it, so that nodes do not look in step."""


class Notifying:
    """Tells of alarms while it runs; without routes it does nothing."""

    def __init__(
        self,
        settings: AlarmSettings,
        database: Database,
        clock: Clock,
        caller: Caller,
        chance: Random,
        payloads: Payloads = PLAIN,
    ) -> None:
        receivers = {f"{CHANNEL}{name}": receiver(route) for name, route in settings.routes.items()}
        node = f"{os.uname().nodename}:{os.getpid()}"
        store, outbox = AlarmStore(database.dialect, payloads), Outbox(database.dialect, payloads)
        self.telling = Telling(database, store, outbox, clock, node, settings)
        self._relaying = Relaying.over(receivers, database, clock, caller, chance, payloads)
        self._chance = chance
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to tell and to send."""
        if self.telling.settings.routes:
            await self._relaying.start()
            self._loop = asyncio.create_task(self._tell_forever())

    async def close(self) -> None:
        """Stop; other nodes go on at once."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        try:
            await self.telling.release()
        except DatabaseError as error:
            log.warning("the lease of the alarms ends by itself: %s", error)
        await self._relaying.close()

    async def _tell_forever(self) -> None:
        while True:
            more = False
            try:
                more = await self.telling.round()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the database does
                log.warning("alarms cannot be told now: %s", error)
            if not more:
                await asyncio.sleep(POLL * (0.5 + self._chance.random() / 2))
