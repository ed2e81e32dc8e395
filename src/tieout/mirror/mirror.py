"""Mirror: the object users hold. It knows its suppliers, follows them in the background, and is read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, TypeVar
from uuid import uuid4

from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Caller, Clock, Database
from tieout.coordination.breaker import Breakers
from tieout.coordination.lease import Leases
from tieout.errors import DatabaseError, DefinitionError, UnknownItem
from tieout.mirror.axis import Axis
from tieout.mirror.calendar import Layout
from tieout.mirror.define import Start, charged, checked_supplier, terms
from tieout.mirror.demand import Counting, Demand, DemandStore
from tieout.mirror.feeding import Feeding
from tieout.mirror.fields import Field, check_fields
from tieout.mirror.leading import Leading
from tieout.mirror.measuring import Measured, Measuring, Slo
from tieout.mirror.offers import ItemCells, Offer, Truth
from tieout.mirror.planning import Planning
from tieout.mirror.pushed import Received
from tieout.mirror.pushing import Pushing
from tieout.mirror.reading import Reading, Stay
from tieout.mirror.schedule import Policy
from tieout.mirror.sightings import Feed
from tieout.mirror.steering import By, Status, Steering
from tieout.mirror.store import MirrorStore, number
from tieout.mirror.suppliers import Following, World
from tieout.mirror.traffic import Traffic
from tieout.mirror.view import View
from tieout.mirror.viewing import Viewing

log = logging.getLogger("tieout.mirror")

S = TypeVar("S")
T = TypeVar("T")

REFRESHES = 1_000
"""Refreshes behind readers that this node has under way at a time; beyond that readers get the copy alone."""


COUNT_EVERY = 5.0
"""Seconds between two times that a node stores what was looked at and ordered."""

CURRENT = 1.0
"""Seconds that a view may lag behind the copy and still answer for it."""

LAST_WORD = 5.0
"""Seconds that what is cancelled at the end has to give back what it holds."""

LEASE = 15.0
"""Seconds after which another node takes over from one that has died."""


def mirror_world(database: Database, clock: Clock, caller: Caller, alarms: AlarmRaiser, chance: Random) -> World:
    """What the mirrors of one App act on."""
    leases = Leases(database, clock, uuid4().hex, LEASE)
    return World(database, MirrorStore(database.dialect), leases, clock, caller, Breakers(), alarms, chance)


class Mirror:
    """A local copy of what suppliers say of their items, followed by a policy within each supplier's budget.

    Made by `app.mirror(...)`. Suppliers are added before the App is opened.
    """

    def __init__(
        self,
        world: World,
        name: str,
        axis: Axis,
        fields: dict[str, Any],
        policy: Policy,
        *,
        half_life: float,
        deps: Any,
        demand: Demand | None = None,
        slo: Slo | None = None,
    ) -> None:
        checked: dict[str, Field] = check_fields(fields)
        self.name = name
        self.layout = Layout(axis, checked)
        self.policy = policy
        self.demand = demand or Demand()
        self.slo = slo or Slo()
        self._world = world
        self._deps = deps
        self._half_life = half_life
        self._readings: dict[str, Reading] = {}
        self._pushings: dict[str, Pushing] = {}
        self._measuring: dict[str, Measuring] = {}
        self._steering: dict[str, Steering] = {}
        self._feeding: dict[str, Feeding] = {}
        self._viewing: Viewing | None = None
        self._demand_store = DemandStore(world.database.dialect)
        self._counted_at = world.clock.monotonic()
        self._viewing_lock = asyncio.Lock()
        self._leading: list[Leading] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def supplier(self, name: str, rate: str, **options: Any) -> Callable[[S], S]:
        """Add a supplier: decorates its class, which is made without arguments, or takes an object.

        `rate` is what it allows, such as "60/min". Options: `concurrency`, `reserve` (shares kept for order checks and
        for browsing; what is left out has its tokens of the plan's), `zone`, `rollover`, `timeout`, `order_patience`,
        `order_timeout`, `min_interval`, `browse_window`, `catalogue_every`; durations as "15m". Of a catalogue: which
        `lost_share` of its groups, or items, and how many `lost_groups` may be gone; one that lacks more is not used.
        Of pushes: `skew`, by how much their times may be wrong, and `rest_holds`, that what a message leaves out has
        not changed.
        """
        agreed = terms(name, rate, **options)

        def add(given: S) -> S:
            if name in self._readings:
                raise DefinitionError(f"the mirror {self.name} has two suppliers named {name!r}")
            supplier = checked_supplier(name, given() if isinstance(given, type) else given)
            supplier.deps = self._deps  # type: ignore[attr-defined]  # a user's class, which may use it
            on_terms = charged(agreed, supplier)
            following = Following(self._world, self.name, self.layout, self.policy, on_terms, supplier)
            self._readings[name] = Reading(following, self._half_life, Counting(self.demand))
            self._measuring[name] = Measuring(following, self.slo)
            self._steering[name] = Steering(following, self._measuring[name])
            self._pushings[name] = Pushing(following)
            self._feeding[name] = Feeding(following)
            return given

        return add

    async def read(
        self, supplier: str, item: str, first: Start = None, nights: int = 1, *, refresh: bool = True
    ) -> Offer:
        """What the copy says of a stay, at once; unless told not to, the supplier is asked behind that.

        A view that this node keeps answers for the copy while it is current, when nobody is to be asked. Raise
        `UnknownItem`, or `InvalidParams` for cells that the copy does not hold.
        """
        reading = self._reading(supplier)
        if not refresh and (seen := self._seen(supplier, item, first, nights)) is not None:
            return seen
        offer, stay = await reading.read(item, self.layout.axis.position(first), nights)
        if refresh:
            reading.counting.note(number(item), "browse")
            self._behind(self._refresh(reading, stay))
        return offer

    async def verify(self, supplier: str, item: str, first: Start = None, nights: int = 1) -> Truth:
        """What the supplier says of a stay, for an order: it is asked now. The copy learns from it.

        Raise `UnknownItem` or `InvalidParams`. That the supplier cannot be asked is an outcome: see `Truth`.
        """
        reading = self._reading(supplier)
        truth = await reading.verify(item, self.layout.axis.position(first), nights)
        self._behind(self._count_behind(reading))
        return truth

    async def view(self) -> View:
        """All items of all suppliers in memory, to search; it is loaded the first time, and kept current from then on.

        Memory: about a kilobyte an item of 60 days and four fields.
        """
        async with self._viewing_lock:
            if self._viewing is None:
                self._viewing = await self._start_view()
        return self._viewing.view

    @property
    def lag(self) -> float | None:
        """How many seconds ago this node's view was current; None when it has none."""
        return None if self._viewing is None else self._viewing.view.lag

    async def changes(self, supplier: str, after: int = 0, limit: int = 1_000) -> Feed:
        """What has changed behind a cursor, in order, at least once: go on with the cursor that is returned.

        Raise `UnknownItem` for an unknown supplier.
        """
        return await self._of(self._feeding, supplier).changes(after, limit)

    async def push(self, supplier: str, body: bytes, *, message: str) -> Received:
        """Take in what a supplier has pushed, once for each `message` id; it is durable when this returns.

        `body` is our JSON (see `Pushed`), or what the supplier's class reads by `pushed`. Who sent it is for the
        caller to check. Raise `UnknownItem` for an unknown supplier, `InvalidParams` or `InvalidJson` for a message
        that cannot be read, or a `DatabaseError`: then it has to be sent again.
        """
        return await self._of(self._pushings, supplier).push(body, message)

    @property
    def suppliers(self) -> tuple[str, ...]:
        """The names of its suppliers."""
        return tuple(self._readings)

    async def pause(self, supplier: str, *, paused: bool = True, by: By | None = None) -> None:
        """Stop asking a supplier for what is due, or go on; all nodes obey within seconds. Orders are still checked.

        Here and below, with `by` the audit keeps who did it.
        """
        await self._of(self._steering, supplier).pause(by, paused=paused)

    async def refresh(self, supplier: str, group: str | None = None, *, by: By | None = None) -> None:
        """Have a group, or everything, asked for before its time; until then its cells are suspect.

        Raise `UnknownItem` for what the catalogue does not have.
        """
        await self._of(self._steering, supplier).refresh(group, by)

    async def boost(self, supplier: str, group: str, lasts: float | str | None = None, *, by: By | None = None) -> None:
        """Ask for a group several times as often as planned, for so long or until it is restored."""
        await self._of(self._steering, supplier).choose(group, "boost", lasts, by)

    async def exclude(
        self, supplier: str, group: str, lasts: float | str | None = None, *, by: By | None = None
    ) -> None:
        """Ask for nothing of a group but for readers and orders, for so long or until it is restored."""
        await self._of(self._steering, supplier).choose(group, "exclude", lasts, by)

    async def restore(self, supplier: str, group: str, *, by: By | None = None) -> None:
        """Ask for a group as planned."""
        await self._of(self._steering, supplier).restore(group, by)

    async def status(self, supplier: str) -> Status:
        """How a supplier's copy stands; reads the check times of all its groups."""
        return await self._of(self._steering, supplier).status()

    async def item(self, supplier: str, item: str) -> ItemCells:
        """All cells of an item, as the copy has them; raise `UnknownItem`."""
        return await self._reading(supplier).item(item)

    def following(self, supplier: str) -> Following:
        """What follows a supplier on this node; raise `UnknownItem`."""
        return self._reading(supplier).following

    def outcomes(self, supplier: str) -> Mapping[str, int]:
        """How order checks on this node have ended: same, the differences, or why they could not be made."""
        return self._reading(supplier).outcomes

    def measured(self, supplier: str) -> Measured | None:
        """What was measured last of a copy that this node leads."""
        return self._of(self._measuring, supplier).latest

    async def open(self) -> None:
        """Make the copies known; raise `ConfigError` when one was made for other fields."""
        for reading in self._readings.values():
            await reading.following.open()

    def follow(self, traffic: Traffic) -> None:
        """Ask the suppliers that no other node asks, from now on, among the other `traffic` of this node's plans."""
        self._leading = [
            Leading(reading.following, Planning(reading.following, self.demand), self._measuring[name], traffic)
            for name, reading in self._readings.items()
        ]
        for leading in self._leading:
            self._spawn(leading.run())

    async def close(self) -> None:
        """Publish what was answered, and give the suppliers to other nodes."""
        viewing, self._viewing = self._viewing, None
        for one in (*self._leading, *([viewing] if viewing else ())):
            one.stopping.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=30.0)
            for task in late:
                task.cancel()
            if late:  # they give back what they hold, as long as there is a database
                await asyncio.wait(late, timeout=LAST_WORD)
        self._leading.clear()
        for reading in self._readings.values():
            await self._count_behind(reading, at_once=True)

    async def _start_view(self) -> Viewing:
        followings = {name: reading.following for name, reading in self._readings.items()}
        view = View(self.layout, self._half_life, self._now)
        viewing = Viewing(self._world, followings, view)
        await viewing.load()
        self._spawn(viewing.run())
        return viewing

    def _now(self) -> int:
        """The server's time, as well as this node knows it."""
        return max((reading.following.moments.earliest() for reading in self._readings.values()), default=0)

    def _seen(self, supplier: str, item: str, first: Start, nights: int) -> Offer | None:
        """What this node's view knows of a stay, if it has one that is current."""
        view = None if self._viewing is None else self._viewing.view
        if view is None or view.lag > CURRENT or not view.has(supplier, item):
            return None
        offer = view.read(supplier, item, first, nights)
        return None if offer.values is None else offer

    def _reading(self, supplier: str) -> Reading:
        return self._of(self._readings, supplier)

    def _of(self, parts: Mapping[str, T], supplier: str) -> T:
        part = parts.get(supplier)
        if part is None:
            raise UnknownItem(f"the mirror {self.name} has no supplier {supplier!r:.100}")
        return part

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) < REFRESHES:
            self._spawn(work)
        else:
            work.close()

    async def _refresh(self, reading: Reading, stay: Stay) -> None:
        try:
            await reading.refresh(stay)
        except Exception:
            log.exception("%s: a refresh behind a reader failed", reading.following.name)
        await self._count_behind(reading)

    async def _count_behind(self, reading: Reading, *, at_once: bool = False) -> None:
        try:
            await self._count(reading, at_once=at_once)
        except DatabaseError as error:
            log.warning("%s: what was looked at is not counted: %s", reading.following.name, error)

    async def _count(self, reading: Reading, *, at_once: bool) -> None:
        """Store what was looked at and ordered, now and then."""
        now = self._world.clock.monotonic()
        if not len(reading.counting) or not (at_once or now - self._counted_at >= COUNT_EVERY):
            return
        self._counted_at = now
        weights, copy = reading.counting.take(reading.following.moments.earliest()), reading.following.number
        await self._world.database.transact(lambda tx: self._demand_store.add(tx, copy, weights))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
