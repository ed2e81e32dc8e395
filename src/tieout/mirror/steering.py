"""What persons ask of a copy: how it stands, to have something refreshed, to boost or exclude a group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from tieout.audit.store import AuditStore
from tieout.config import duration
from tieout.contracts import Transaction
from tieout.errors import UnknownItem
from tieout.mirror.choices import Choice, Choices
from tieout.mirror.doubts import EVERY, Doubts
from tieout.mirror.measuring import Measured, Measuring
from tieout.mirror.sightings import Sightings
from tieout.mirror.store import number
from tieout.mirror.suppliers import Following


class By(msgspec.Struct, frozen=True):
    """Who does something and why: kept in the audit."""

    actor: str
    reason: str


class Status(msgspec.Struct, frozen=True):
    """How a copy stands: `catalogued` is when its catalogue was read (the server's microseconds; 0: never).

    `head` is the number of its last sighting; `choices` are the groups that are boosted or excluded.
    """

    mirror: str
    supplier: str
    paused: bool
    catalogued: int
    groups: int
    items: int
    head: int
    measured: Measured
    choices: Mapping[str, Choice]


class Steering:
    """Carries out what persons ask of one copy, on any node."""

    def __init__(self, following: Following, measuring: Measuring) -> None:
        self.following = following
        self._measuring = measuring
        dialect = following.world.database.dialect
        self._audit = AuditStore(dialect)
        self._doubts, self._choices, self._sightings = Doubts(dialect), Choices(dialect), Sightings(dialect)

    async def pause(self, by: By | None, *, paused: bool) -> None:
        """Stop asking for what is due, or go on."""
        store, number = self.following.world.store, self.following.number
        await self._do("pause" if paused else "resume", "", by, lambda tx: store.pause(tx, number, paused=paused))

    async def refresh(self, group: str | None, by: By | None) -> None:
        """Have a group or everything asked for; raise `UnknownItem`."""
        axis, terms = self.following.layout.axis, self.following.terms
        first = axis.first(self.following.moments.earliest(), terms.zone, terms.rollover)
        # Of days that begin earlier or later elsewhere, one on either side.
        around = 0 if axis.kind == "one" else 1

        async def work(tx: Transaction) -> None:
            n = EVERY if group is None else await self._known(tx, group)
            await self._doubts.add(tx, self.following.number, n, first - around, axis.count + 2 * around)

        await self._do("refresh", group or "", by, work)

    async def choose(self, group: str, kind: Choice, lasts: float | str | None, by: By | None) -> None:
        """Boost or exclude a group; raise `UnknownItem`."""
        seconds = None if lasts is None else duration(lasts)

        async def work(tx: Transaction) -> None:
            await self._choices.choose(tx, self.following.number, await self._known(tx, group), kind, seconds)

        await self._do(kind, group, by, work)

    async def restore(self, group: str, by: By | None) -> None:
        """Treat a group as every other one; raise `UnknownItem`."""

        async def work(tx: Transaction) -> None:
            await self._choices.drop(tx, self.following.number, await self._known(tx, group))

        await self._do("restore", group, by, work)

    async def status(self) -> Status:
        """How the copy stands."""
        following = self.following
        await following.look()
        copy = await following.load()

        async def read(tx: Transaction) -> tuple[int, Mapping[str, Choice]]:
            choices = await self._choices.all(tx, following.number)
            names = {group.n: group.name for group in copy.groups}
            chosen = {names[n]: one.kind for n, one in choices.items() if n in names}
            return await self._sightings.head(tx, following.number), chosen

        head, choices = await following.world.database.read(read)
        return Status(
            following.mirror,
            following.terms.name,
            following.paused,
            following.catalogued,
            len(copy.groups),
            len(copy.items),
            head,
            await self._measuring.measure(copy),
            choices,
        )

    async def _do(
        self, action: str, group: str, by: By | None, work: Callable[[Transaction], Awaitable[object]]
    ) -> None:
        """Do it, and keep who did it, in one transaction."""

        async def audited(tx: Transaction) -> None:
            await work(tx)
            if by is not None:
                await self._audit.add(
                    tx,
                    actor=by.actor,
                    action=f"mirror-{action}",
                    target=self.following.name,
                    reason=by.reason,
                    detail={"group": group},
                )

        await self.following.world.database.transact(audited)

    async def _known(self, tx: Transaction, group: str) -> int:
        if not await self._doubts.has_group(tx, self.following.number, number(group)):
            raise UnknownItem(f"{self.following.name} has no group {group!r:.100}")
        return number(group)
