"""What a node looks at now and then: whether commits are still copied, and whether another server has taken over."""

from __future__ import annotations

import logging

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Database, Transaction
from tieout.database.replication import Primary, Replaceable, Replication, ask, lapse
from tieout.errors import DatabaseError
from tieout.process.acknowledged import Acknowledged
from tieout.process.world import World

log = logging.getLogger("tieout.worker")


class Watch:
    """One node's view of the database servers. It decides nothing: it tells a person."""

    def __init__(self, world: World, database: Database, acknowledged: Acknowledged) -> None:
        self._world = world
        self._database = database
        self._acknowledged = acknowledged
        self._waited: Replication | None = None
        self._lapsed = ""
        self._is_mute = False

    @property
    def has_cause(self) -> bool:
        """Whether there is anything to look at: no server takes over from a file."""
        return isinstance(self._database, Replaceable)

    async def look(self) -> None:
        """Raise an alarm when commits no longer wait for another server, and one about what a takeover has lost."""
        if not isinstance(self._database, Replaceable):
            return
        primary = None if self._is_mute else await self._ask()
        await self._acknowledged.compare(None if primary is None else primary.started)
        if primary is not None:
            await self._look_at_replication(self._database.primary, primary.replication)

    async def _ask(self) -> Primary | None:
        try:
            return await ask(self._database)
        except DatabaseError as error:
            if error.retryable:
                raise
            log.warning("this server does not say how it copies commits, and is not asked again: %s", error)
            self._is_mute = True
            return None

    async def _look_at_replication(self, primary: str, now: Replication) -> None:
        wrong = lapse(self._waited, now)
        if wrong is None:
            self._lapsed = ""
            self._waited = now if now.waits else self._waited
        elif wrong != self._lapsed:
            await self._world.transact(lambda tx: self._tell(tx, primary, wrong))
            self._lapsed = wrong

    async def _tell(self, tx: Transaction, primary: str, wrong: str) -> None:
        # With the time, each lapse is news of its own, also after the one before was resolved.
        evidence = {"found": wrong, "at": await self._world.store.server_time(tx)}
        await self._world.alarms.raise_alarm(tx, NewAlarm("replication-lapsed", primary, wrong, None, (evidence,)))
