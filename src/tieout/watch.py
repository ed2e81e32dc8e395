"""What a node looks at now and then: whether commits are still copied, and whether another server has taken over."""

from __future__ import annotations

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Database, Transaction
from tieout.database.replication import Replaceable, Replication, lapse, replication
from tieout.process.acknowledged import Acknowledged
from tieout.process.world import World


class Watch:
    """One node's view of the database servers. It decides nothing: it tells a person."""

    def __init__(self, world: World, database: Database, acknowledged: Acknowledged) -> None:
        self._world = world
        self._database = database
        self._acknowledged = acknowledged
        self._waited: Replication | None = None
        self._lapsed = ""

    async def look(self) -> None:
        """Raise an alarm when commits no longer wait for another server, and one about what a takeover has lost."""
        if not isinstance(self._database, Replaceable):
            return
        await self._acknowledged.compare()
        await self._look_at_replication(self._database.primary)

    async def _look_at_replication(self, primary: str) -> None:
        now = await replication(self._database)
        if now is None:
            return
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
