"""The loop of one supplier: whichever node holds its lease asks, publishes, and reads what others have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from itertools import chain
from typing import Any

from tieout.coordination.lease import Lease, LostLease
from tieout.errors import DatabaseError
from tieout.mirror.asking import Asking
from tieout.mirror.catalogues import Catalogue
from tieout.mirror.copying import Copy
from tieout.mirror.forgetting import Forgetting
from tieout.mirror.listing import Listing
from tieout.mirror.measuring import Measuring
from tieout.mirror.observed import Observed
from tieout.mirror.packed import packed
from tieout.mirror.planning import Planning
from tieout.mirror.suppliers import Following
from tieout.mirror.traffic import Traffic

log = logging.getLogger("tieout.mirror")

LOOK_EVERY = 1.0
"""Seconds between two looks at what others have left, and whether the copy is paused."""

LOOK_PAUSE, LOOK_LATEST = 4, 5.0
"""From one look to the next at least so many times as long as the last one took, and at most so many seconds."""

PUBLISH_EVERY = 0.3
"""How long an answer waits for others to be published with it, in seconds."""

PUBLISH_PAUSE = 10
"""It waits so many times as long as the last publication took, if that is longer: then more is done in one."""

PUBLISH_LATEST = 5.0
"""Longest that it waits for that, in seconds."""

PUBLISH_EACH = 0.05
"""Seconds that it waits for each supplier that the node leads: they are published in turn, and each time costs the same
whatever is published. Without, a node of many slow suppliers does little else, for one answer at a time."""

CROWDED_LATEST = 20.0
"""For how long it waits while the node has no place for another query: what it does then, it has to do at less cost."""

PUBLISH_ITEMS = 1_500
"""Items that are published at once without waiting."""

FIRST_PAUSE = 1.0
"""Seconds until the lead is tried for again; doubled for each further time that it fails."""

LONGEST_PAUSE = 300.0
"""Longest such pause, in seconds."""

UNANSWERED_EVERY = 0.1
"""Seconds between two looks whether the supplier may still be at work, before others may ask it."""


class Leading:
    """Follows one supplier while this node holds its lease.

    Asking goes on while the catalogue is read, and while one task at a time writes: it looks and merges what others
    have left, publishes answers, or stores a catalogue. What changes the groups is stored while nothing is asked; only
    the first catalogue may be asked about before it is stored, which comes before all that is published.
    """

    def __init__(self, following: Following, planning: Planning, measuring: Measuring, traffic: Traffic) -> None:
        self.following = following
        self.planning = planning
        self.measuring = measuring
        self.stopping = asyncio.Event()
        self._world, self._traffic = following.world, traffic
        self._asking = Asking(
            following,
            planning,
            traffic,
            lease=lambda: self._lease,
            renew=self._renew,
            stage=self._stage,
            ended=self._ended,
        )
        self._listing = Listing(following, hold=self._hold, ended=self._ended)
        self._forgetting = Forgetting(following)
        self._writing: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._error: BaseException | None = None
        self._staged: list[Observed] = []
        self._staged_at, self._staged_items = 0.0, 0
        self._publishing: list[Observed] = []
        self._publish_took = 0.0
        self._looked_at = 0.0
        self._look_every = LOOK_EVERY

    async def run(self) -> None:
        """Take the lease when it is free, and lead while it is ours; return when told to stop."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                name = f"mirror/{self.following.name}"
                is_free = await self._traffic.vacancies.is_free(name)
                lease = await self._world.leases.take(name) if is_free else None
                if lease is not None:
                    await self._lead(lease)
                pause = FIRST_PAUSE
            except LostLease:
                log.warning("%s: the lease was lost", self.following.name)
            except DatabaseError as error:
                log.warning("%s: next try in %g s: %s", self.following.name, pause, error)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                log.exception("%s: next try in %g s", self.following.name, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            await self._sleep(pause)

    async def _lead(self, lease: Lease) -> None:
        self._lease, self._error = lease, None
        with self._traffic.leading():
            await self._lead_on()

    async def _lead_on(self) -> None:
        copy = await self.following.load()
        await self.following.look()
        try:
            while not self.stopping.is_set():
                await self._turn(copy)
            await self._finish(copy)
        finally:
            await self._drop()
            while self.following.unanswered:  # the next one may ask as much as is agreed, at once
                await self._world.clock.sleep(UNANSWERED_EVERY)
            await self._world.leases.release(self._lease)

    async def _turn(self, copy: Copy) -> None:
        """Do what there is to do now, then wait until there may be more."""
        self._woken.clear()
        if self._error is not None:
            raise self._error
        if self._writing is None:
            self._write_behind(copy)
        is_listing = self._listing.is_due
        if is_listing and self._asking.free_places > 0:
            self._listing.begin(copy)
        if not self._listing.brings_changes:
            self._asking.begin(copy, chain(self._publishing, self._staged), kept=int(is_listing))
        await self._wait()

    def _write_behind(self, copy: Copy) -> None:
        """Begin to look, to publish, or to store a catalogue, when it is time for it."""
        listing = self._listing
        if self._world.clock.monotonic() - self._looked_at >= self._look_every:
            self._writing = self._begun(self._look(copy))
        elif listing.catalogue is not None and not (listing.brings_changes or listing.first):
            self._writing = self._begun(self._store(copy, listing.catalogue))
        elif self._traffic.may_write and (work := self._to_write(copy)) is not None:
            self._writing = self._begun(work)
            self._traffic.write(self._writing)

    def _to_write(self, copy: Copy) -> Coroutine[Any, Any, None] | None:
        """What changes rows: the first catalogue, answers that have waited for others, then what a later one brings."""
        if self._listing.first is not None and self._listing.catalogue is not None:
            return self._store(copy, self._listing.catalogue)
        if not self._staged or copy.is_new:
            catalogue = None if self._asking else self._listing.catalogue
            return None if catalogue is None else self._store(copy, catalogue)
        is_many = self._staged_items >= PUBLISH_ITEMS
        waits = CROWDED_LATEST if self._traffic.is_crowded else waits_for(self._publish_took, self._traffic.leads)
        has_waited = self._world.clock.monotonic() - self._staged_at >= waits
        return self._publish(copy) if is_many or has_waited or not self._asking else None

    async def _wait(self) -> None:
        """Wait until something is done or due, or we are told to stop."""
        if not (self._asking or self._staged or self._writing or self._listing):
            await self._sleep(LOOK_EVERY / 2)
            return
        alarm = asyncio.get_running_loop().call_later(PUBLISH_EVERY, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            alarm.cancel()

    async def _finish(self, copy: Copy) -> None:
        """Publish what is still answered in time."""
        await self._asking.finish()
        await self._listing.finish()
        if self._writing is not None:
            await self._writing
        if copy.is_ahead and self._listing.catalogue is not None:
            await self._store(copy, self._listing.catalogue)
        await self._publish(copy)

    async def _look(self, copy: Copy) -> None:
        """Look at what others have left; what takes long is done less often, so that most of the time is for asking."""
        self._looked_at = self._world.clock.monotonic()
        await self.following.look(self._traffic.read_copy)
        self._keep(await self._world.leases.keep(self._lease))
        if self.following.has_mail and not copy.is_ahead:
            self._keep(await self.following.drain(self._lease, copy))
        await self.planning.look(copy)
        if self.following.has_doubts or self.following.has_mail or self.following.has_choices:
            self._asking.forget_plan()
        await self.measuring.look(copy)
        self._keep(await self._forgetting.look(copy, self._lease))
        took = self._world.clock.monotonic() - self._looked_at
        self._look_every = min(max(LOOK_EVERY, LOOK_PAUSE * took), LOOK_LATEST)

    def _stage(self, observed: Observed) -> None:
        if not self._staged:
            self._staged_at = self._world.clock.monotonic()
        self._staged.append(packed(observed))
        self._staged_items += len(observed.items)

    async def _publish(self, copy: Copy) -> None:
        if not self._staged:
            return
        self._publishing, self._staged, self._staged_items = self._staged, [], 0
        begun = self._world.clock.monotonic()
        try:
            published = await self.following.publish(self._lease, copy, self._publishing)
            self._keep(published.lease)
            self._asking.note_published(self._publishing, [one for one, _ in published.garbled])
        except DatabaseError:
            self._staged = self._publishing + self._staged
            self._staged_items = sum(len(one.items) for one in self._staged)
            raise
        finally:
            self._publishing = []
        self._publish_took = self._world.clock.monotonic() - begun

    async def _store(self, copy: Copy, catalogue: Catalogue) -> None:
        brings_changes = self._listing.brings_changes
        self._keep(await self.following.store_catalogue(self._lease, copy, catalogue, self._listing.first))
        self._listing.forget()
        if brings_changes:
            self._asking.forget_plan()

    async def _hold(self) -> None:
        """Make sure that our lead outlasts a query; renewed again where the node stood still meanwhile."""
        while not self._world.leases.may_begin(self._lease, self.following.terms.timeout):
            await self._renew()

    async def _renew(self) -> None:
        self._keep(await self._world.leases.renew(self._lease))

    def _keep(self, lease: Lease) -> None:
        """Know that the lease was renewed, unless it was for longer meanwhile."""
        self._lease = max(lease, self._lease, key=lambda one: one.ends)

    async def _sleep(self, seconds: float) -> None:
        """Sleep with jitter, or until told to stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds * (0.75 + self._world.chance.random() / 2))
        except TimeoutError:
            return

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        self._ended(None if task.cancelled() else task.exception())

    def _ended(self, error: BaseException | None) -> None:
        """Know that a query, a catalogue, or what was written, has ended; its error ends our lead."""
        if error is not None:
            self._error = error
        self._woken.set()

    async def _drop(self) -> None:
        """Let nothing go on: queries are cancelled, and what is being written is waited for.

        A query that is given up may come to the supplier all the same, and then it is as if we asked still.
        """
        is_asking = self._asking.is_under_way or self._listing.is_under_way
        await self._asking.drop()
        await self._listing.drop()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if is_asking:
            await self._world.clock.sleep(self.following.longest_way)


def waits_for(took: float, leads: int) -> float:
    """Seconds that an answer waits for others, where the last publication `took` so long and the node leads so many."""
    return max(PUBLISH_EVERY, min(PUBLISH_PAUSE * took, PUBLISH_LATEST), min(PUBLISH_EACH * leads, CROWDED_LATEST))
