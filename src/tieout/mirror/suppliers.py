"""One supplier and its copy, as one node sees them: asks within the budget, plans, publishes, and reads the catalogue.

Nothing here loops or makes tasks: `following.py` does, and a simulation may.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Caller, Clock, Database, Transaction
from tieout.coordination.breaker import Breakers
from tieout.coordination.budget import Budget
from tieout.coordination.lease import Lease, Leases
from tieout.coordination.slots import Slots
from tieout.errors import ConfigError, DatabaseError, InvalidJson
from tieout.identity import encode_json
from tieout.mirror.calendar import Layout
from tieout.mirror.catalogues import Catalogue, Cataloguer, Changes
from tieout.mirror.copying import Copy
from tieout.mirror.define import Fetched, SlowDown, Supplier, Terms, is_by_item
from tieout.mirror.moments import Moments
from tieout.mirror.observed import Cause, Observed, decode
from tieout.mirror.publishing import Published, Publisher
from tieout.mirror.rules import SMALL, is_mass_drop
from tieout.mirror.schedule import Policy
from tieout.mirror.sightings import Sightings
from tieout.mirror.store import CopyRow, MirrorStore, number
from tieout.mirror.words import Garbled

log = logging.getLogger("tieout.mirror")

POSTED = 200
"""Observations of other nodes that are merged in one transaction."""

PAUSE = 30.0
"""Seconds without a query after a supplier asked for a pause without saying how long."""

LONGEST_PAUSE = 3_600.0
"""Longest pause that a supplier can ask for, in seconds."""

PATIENCE = 5.0
"""Longest that a query of the plan waits for its token, in seconds; then the plan is looked at anew."""

BROWSE_PATIENCE = 1.0
"""Longest that a refresh behind a reader waits for its slot and its token, in seconds."""

BEYOND = 2
"""For how many times its time-out the place of a query stays taken: the supplier may be at work for longer than that
anybody waits."""

CATALOGUE_SPREAD = 0.1
"""By how much of its time a catalogue may be read early."""

JITTER_SHARE, LONGEST_JITTER = 0.1, 0.75
"""By how much queries may come late, as a share of the window that the supplier counts in, and in seconds at most."""


class World(NamedTuple):
    """What a mirror acts on."""

    database: Database
    store: MirrorStore
    leases: Leases
    clock: Clock
    caller: Caller
    breakers: Breakers
    alarms: AlarmRaiser
    chance: Random


class Following:
    """One mirror's copy of one supplier; for `longest_way` seconds at most a query is on its way there."""

    def __init__(
        self, world: World, mirror: str, layout: Layout, policy: Policy, terms: Terms, supplier: Supplier
    ) -> None:
        self.world = world
        self.name = f"{mirror}/{terms.name}"
        self.mirror = mirror
        self.layout = layout
        self.policy = policy
        self.terms = terms
        self.supplier = supplier
        self.number = number(mirror, terms.name)
        self.longest_way = min(LONGEST_JITTER, JITTER_SHARE * terms.limit.window / 1_000_000)
        self.budget = Budget(world.database, world.clock, self.name, terms.classes, jitter=self.longest_way)
        self.slots = Slots(world.database, world.clock, world.leases.holder, self.name)
        self.moments = Moments(world.clock)
        self.publisher = Publisher(world.database, world.store, world.leases)
        self.cataloguer = Cataloguer(world.database, world.store, world.leases)
        self.jitter = number(mirror, terms.name, "jitter") / (1 << 63)
        self.sightings = Sightings(world.database.dialect)
        self.paused = False
        self.catalogued = 0
        self._unanswered: list[float] = []
        self.has_mail = self.has_doubts = self.has_choices = False

    async def open(self) -> None:
        """Make the copy and its budget known; raise `ConfigError` when its rows were packed for other fields."""
        layout = encode_json(self.layout.description)
        store = self.world.store

        async def work(tx: Transaction) -> None:
            await store.add_copy(tx, self.number, self.mirror, self.terms.name, layout)

        await self.world.database.transact(work)
        await self.budget.open()
        if (stored := await self.look()) != layout:
            raise ConfigError(f"the rows of {self.name} were packed as {stored}, and its definition says {layout}")

    async def look(self, read_copy: Callable[[int], Awaitable[CopyRow | None]] | None = None) -> str:
        """Read what is known of the copy, and the server's time; how its rows are packed."""
        begun = self.moments.begin()
        row = await (read_copy or self._read_copy)(self.number)
        if row is None:
            raise ConfigError(f"there is no copy {self.name}")
        self.moments.learn(row.now, begun)
        self.paused, self.catalogued = row.paused, row.catalogued
        self.has_mail, self.has_doubts, self.has_choices = row.has_mail, row.has_doubts, row.has_choices
        return row.layout

    async def _read_copy(self, copy: int) -> CopyRow | None:
        found = await self.world.database.read(lambda tx: self.world.store.read_copies(tx, [copy]))
        return found.get(copy)

    async def load(self) -> Copy:
        """The copy, for its only writer."""
        copy = Copy(self.number, self.layout, self.terms)
        await self.world.database.read(lambda tx: copy.load(tx, self.world.store))
        return copy

    def is_catalogue_due(self) -> bool:
        """Whether the catalogue was read too long ago, or never; suppliers that were read together come apart."""
        every = self.terms.catalogue_every * (1 - CATALOGUE_SPREAD * self.jitter)
        return self.moments.earliest() - self.catalogued >= every * 1_000_000

    async def read_catalogue(self, copy: Copy, hold: Callable[[], Awaitable[None]]) -> Catalogue:
        """The supplier's catalogue; raise what it raises, or `Garbled` when it has nothing or drops too much.

        `hold` is awaited before each page is asked for: it makes sure of the lead.
        """
        catalogue = Catalogue(copy)
        try:
            await hold()
            async for page in self.supplier.catalogue():
                catalogue.add(page)
                await hold()
        except SlowDown as error:
            await self.slow_down(error)
            raise
        if not catalogue.groups:
            raise Garbled("the catalogue has no groups at all")
        await self._check_lost(copy, self.news(copy, catalogue))
        return catalogue

    async def _check_lost(self, copy: Copy, news: Changes) -> None:
        """Raise `Garbled`, and tell a person, when a catalogue lacks more than is likely to be true."""
        share, most, groups = self.terms.lost_share, self.terms.lost_groups, len(copy.groups)
        lost = f"{len(news.lost_groups)} of {groups} groups"
        if not is_mass_drop(groups, len(news.lost_groups), share, most):
            if groups <= SMALL or not is_mass_drop(len(copy.items), len(news.lost_items), share, math.inf):
                return
            lost = f"{len(news.lost_items)} of {len(copy.items)} items"
        await self.alarm("mass-drop", f"{lost} have vanished from the catalogue")
        raise Garbled(f"{lost} have vanished")

    def news(self, copy: Copy, catalogue: Catalogue) -> Changes:
        """What a catalogue changes in a copy as it is now."""
        return catalogue.compare(copy, self.moments.earliest())

    async def store_catalogue(
        self, lease: Lease, copy: Copy, catalogue: Catalogue, first: Changes | None = None
    ) -> Lease:
        """Store what a catalogue changes, and that it was read. When it changes anything nobody may ask meanwhile.

        But where it is the `first` one, of which the copy knows already what it brings.
        """
        changes = self.news(copy, catalogue) if first is None else first
        lease = await self.cataloguer.store(lease, copy, changes)
        await self.look()
        return lease

    def may_ask(self) -> bool:
        """Whether the supplier is well enough to be asked."""
        return not self.world.breakers.is_open(self.name, self.world.clock.monotonic())

    @property
    def unanswered(self) -> int:
        """Queries that nobody here waits for any more, while the supplier may still be at work on them."""
        now = self.world.clock.monotonic()
        self._unanswered = [until for until in self._unanswered if until > now]
        return len(self._unanswered)

    async def ask(
        self,
        group: str,
        first: int,
        count: int,
        cause: Cause,
        late: Callable[[Observed], Awaitable[None]],
        slot: Lease | None = None,
    ) -> Observed | None:
        """What the supplier says of some cells of a group; None when it did not, or not in time.

        Whoever calls has a token for it, and a slot or one of the plan's own places: see `attempt`. An answer after the
        time-out goes to `late`.
        """
        begun = self.moments.earliest()

        def observed(answer: Any) -> Observed:
            if not isinstance(answer, Fetched):
                raise Garbled(f"fetch returned {answer!r:.100}: return Fetched(...)")
            if not is_by_item(answer.items):
                raise Garbled(f"fetch returned {answer.items!r:.100}: return Fetched({{item: {{field: [...]}}}})")
            end = self.moments.latest()
            return Observed(group, first, count, begun, end, answer.items, cause, answer.complete, whole=True)

        async def came_late(answer: Any) -> None:
            await late(observed(answer))

        arguments = (group, self.layout.axis.start_of(first), count)
        try:
            answer = await self.attempt(self.supplier.fetch, arguments, self.terms.timeout, came_late, slot)
            return self._answered(observed(answer))
        except SlowDown as error:
            await self.slow_down(error)
        except Exception as error:  # noqa: BLE001 - whatever a supplier's class raises, the plan goes on
            log.warning("%s: %s from %s was not fetched: %s: %s", self.name, group, first, type(error).__name__, error)
            self.world.breakers.record(self.name, self.world.clock.monotonic(), answered=False)
        return None

    async def attempt(
        self,
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
        slot: Lease | None,
    ) -> Any:
        """What a supplier's method returns; raise what it raises, or `TimeoutError`.

        The slot is given back with the answer. Without one the query has one of the plan's own places. Either stays
        taken after a time-out, until the answer comes late or as much time again has gone by: the supplier may still
        be at work.
        """

        async def came_late(answer: Any) -> None:
            if slot is not None:
                await self.give_back(slot)
            elif self._unanswered:
                self._unanswered.pop(0)
            await late(answer)

        is_over = True
        try:
            return await self.world.caller.attempt(method, arguments, {}, timeout, came_late)
        except TimeoutError:
            is_over = False
            if slot is None:
                self._unanswered.append(self.world.clock.monotonic() + (BEYOND - 1) * timeout)
            raise
        finally:
            if slot is not None and is_over:
                await self.give_back(slot)

    async def give_back(self, slot: Lease) -> None:
        """Let others have a slot; where the database does not answer they have to wait for its end."""
        try:
            await self.slots.give_back(slot)
        except DatabaseError as error:
            log.warning("%s: a slot is not given back before its end: %s", self.name, error)

    def _answered(self, observed: Observed) -> Observed:
        self.world.breakers.record(self.name, self.world.clock.monotonic(), answered=True)
        return observed

    async def slow_down(self, error: SlowDown) -> None:
        """Keep everybody from asking for as long as the supplier wants, within bounds."""
        after = PAUSE if error.after is None else error.after
        log.warning("%s: the supplier asks for a pause of %g s", self.name, after)
        await self.budget.pause(min(after, LONGEST_PAUSE))

    async def publish(
        self, lease: Lease, copy: Copy, observed: Sequence[Observed], messages: Sequence[bytes] = ()
    ) -> Published:
        """Merge observations as the copy's only writer; what was garbled is told."""
        published = await self.publisher.publish(lease, copy, observed, messages)
        for one, why in published.garbled:
            log.warning("%s: an answer about %s is not used: %s", self.name, one.group, why)
        return published

    async def drain(self, lease: Lease, copy: Copy) -> Lease:
        """Merge what other nodes have left."""
        while posted := await self.world.database.read(lambda tx: self.world.store.posted(tx, self.number, POSTED)):
            observed = [one for one in map(self._readable, (body for _, body in posted)) if one is not None]
            published = await self.publish(lease, copy, observed, [message for message, _ in posted])
            lease = published.lease
            if len(posted) < POSTED:
                break
        return lease

    def _readable(self, body: bytes) -> Observed | None:
        try:
            return decode(body)
        except InvalidJson as error:
            log.warning("%s: a message cannot be read: %s", self.name, error)
            return None

    async def alarm(self, kind: str, summary: str) -> None:
        """Tell a person of this copy."""
        alarm = NewAlarm(kind, self.name, f"{self.name}: {summary}")
        await self.world.database.transact(lambda tx: self.world.alarms.raise_alarm(tx, alarm))
