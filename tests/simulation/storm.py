"""The faults that strike nodes and the database: at every statement and every commit, as often as the rates say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.faults import Rates
from tests.simulation.model_database import Fate, ModelTransaction
from tests.simulation.scheduler import SECOND, Scheduler
from tieout.errors import DatabaseUnavailable, RetryTransaction

if TYPE_CHECKING:
    from tests.simulation.model_database import ModelDatabase

LONG_PAUSE = 32 * SECOND
"""Longer than any lease."""

LONGEST_JUMP = 5 * SECOND
"""By how much the clocks of two servers differ at most. A type's `key_valid` has to leave room for that."""

IDLE_LIMIT = 15 * SECOND
"""After this time a server cuts a transaction whose client says nothing."""


class Storm:
    """The weather of a schedule. Tells `crashed` which node has died; counts what happens in `counts`."""

    def __init__(self, scheduler: Scheduler, rates: Rates, counts: Counter[str]) -> None:
        self.scheduler = scheduler
        self.chance = scheduler.chance
        self.rates = rates
        self.counts = counts
        self.crashed: Callable[[Any], None] = lambda _: None
        self.trace: Callable[[str], None] | None = None
        self.down_until = 0
        self._switch = rates.switch
        self._node_trouble = rates.crash + rates.pause
        self._trouble = self._node_trouble + rates.refuse + rates.cut

    def saw(self, what: str) -> None:
        """Count it, and write it into the trace."""
        self.counts[what] += 1
        if self.trace is not None:
            self.trace(f"** {what}")

    def later(self, action: Callable[[], None]) -> None:
        """Do something a while later: within a moment, or as long as a stalled COMMIT may take."""
        self.scheduler.at(self.duration(0.01, 12), action)

    def duration(self, least: float, most: float) -> int:
        """A time between these two, in seconds; short ones are more frequent."""
        return round((least + (most - least) * self.chance.random() ** 3) * SECOND)

    def calm(self) -> None:
        """No faults from now on."""
        self._trouble = self._node_trouble = 0.0
        self.rates.lost_commit = self.rates.slow = 0.0

    async def beginning(self, tx: ModelTransaction) -> None:
        """A connection is taken from the pool."""
        if self.scheduler.now < self.down_until:
            await self.scheduler.sleep(self.duration(0.001, 1))
            raise DatabaseUnavailable("down")

    async def stating(self, tx: ModelTransaction, name: str) -> None:
        """A statement is on its way to the server."""
        if self.trace is not None:
            self.trace(f"{tx.owner.name}: {name}")
        luck = self.chance.random()
        if luck < self._trouble:
            await self._strike(tx, luck)
        elif luck > 1.0 - self._switch:
            await self._pass_time()

    async def stated(self, tx: ModelTransaction, name: str) -> None:
        """The answer to a statement is on its way back."""
        await self.boundary()

    async def committing(self, tx: ModelTransaction) -> Fate:
        """COMMIT is on its way to the server."""
        await self.stating(tx, "commit")
        tx.check()
        if not tx.writes or self.chance.random() >= self.rates.lost_commit:
            return "done"
        fate: Fate = self.chance.choice(("lost-done", "lost-undone", "lost-later", "retry"))
        names = {"lost-done": "done", "lost-undone": "not done", "lost-later": "done later"}
        self.saw(f"commit unknown, {names[fate]}" if fate in names else "transaction refused")
        return fate

    async def committed(self, tx: ModelTransaction) -> None:
        """The answer to COMMIT is on its way back."""
        if self.trace is not None:
            self.trace(f"{tx.owner.name}: committed")
        await self.stated(tx, "commit")

    async def boundary(self) -> None:
        """A node is about to call, has just called, or has an answer of the database before it."""
        luck = self.chance.random()
        if luck < self._node_trouble:
            await self._strike(None, luck)
        elif luck > 1.0 - self._switch / 2:
            await self._pass_time()

    async def _pass_time(self) -> None:
        if self.chance.random() < self.rates.slow:
            await self.scheduler.sleep(self.duration(0.001, 3))
        else:
            await self.scheduler.switch()

    async def _strike(self, tx: ModelTransaction | None, luck: float) -> None:
        rates, owner = self.rates, self.scheduler.current.owner
        if owner is self.scheduler.world:
            return
        if luck < rates.crash:
            await self._crash(owner)
        elif luck < rates.crash + rates.pause or tx is None:
            self._pause(owner)
            await self.scheduler.switch()
        elif luck < rates.crash + rates.pause + rates.refuse:
            self.saw("transaction refused")
            tx.failure = RetryTransaction("serialisation", "40001")
            tx.end(keep=False)
        else:
            self.saw("connection cut")
            tx.cut()

    async def _crash(self, owner: Any) -> None:
        self.saw("crash of a node")
        self.scheduler.ticket()
        self.scheduler.crash(owner)
        self.crashed(owner)
        await self.scheduler.park()

    def _pause(self, owner: Any) -> None:
        long = self.chance.random() < 0.4
        length = self.duration(32, 80) if long else self.duration(0.1, 30)
        self.saw("pause of a node")
        if length > LONG_PAUSE:
            self.saw("pause beyond a lease")
        if self.trace is not None:
            self.trace(f"{owner.name} stands still for {length / SECOND:.1f} s")
        self.scheduler.freeze(owner, length)
        if self.chance.random() < 0.5:
            self.scheduler.at(IDLE_LIMIT, lambda: self._cut_idle(owner))

    def _cut_idle(self, owner: Any) -> None:
        if owner.frozen is None or not owner.alive:
            return
        for tx in [tx for tx in self.database.open if tx.owner is owner and tx.waits_for is None]:
            self.saw("transaction cut while its node stood still")
            tx.cut()

    database: ModelDatabase

    async def outage(self, length: int, jump: int) -> None:
        """The database goes away for a while; another server may take over, whose clock is another."""
        self.saw("database down")
        self.down_until = self.scheduler.now + length
        for tx in list(self.database.open):
            tx.cut()
        await self.scheduler.sleep(length)
        self.saw("failover")
        if jump:
            self.saw("clock of the server jumped")
            self.database.ahead += jump
