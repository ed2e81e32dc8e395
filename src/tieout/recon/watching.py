"""The rules of an App, followed until that is cancelled: by one node at a time, from where the last one was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.lease import Lease, Leases, LostLease
from tieout.errors import ConfigError, DatabaseError, DefinitionError
from tieout.feeds import Position
from tieout.recon.baseline import load
from tieout.recon.define import Rule
from tieout.recon.fact_store import FactStore, RuleState
from tieout.recon.following import Follower, Missed
from tieout.recon.live import Followed, Live, World
from tieout.recon.opening import FeedOptions, name_of, needed
from tieout.recon.probing import Prober
from tieout.recon.sources import opened
from tieout.recon.store import ReconStore
from tieout.recon.telling import Telling
from tieout.recon.translating import Translation

log = logging.getLogger("tieout.recon")

LEASE = 5.0
"""Seconds after which another node goes on where one that died was."""

STANDBY_EVERY = 2.0
"""Seconds between two looks at whether the node that follows is still there."""

AGAIN = (0.5, 30.0)
"""Seconds before everything is begun anew after a failure, at first and at the most."""

TEND_EVERY = 1.0
"""Seconds between two looks at how the feeds are."""

SILENT = 15.0
"""Seconds without a word, not even a heartbeat, after which a feed is told to be silent."""

LAGGING = 60_000_000
"""Microseconds by which a feed may be behind its source before that is told."""

FORGOTTEN = 2_000
"""Keys that are looked at in each round for whether they can be forgotten."""


class Watching:
    """Follows rules. `watched` is set while it does, and nobody else."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        alarms: AlarmRaiser,
        rules: Sequence[Rule],
        options: Mapping[Any, FeedOptions],
    ) -> None:
        self._database, self._clock, self._alarms = database, clock, alarms
        self._rules, self._options = rules, options
        self._needed = needed(rules, options)
        store, leases = FactStore(database.dialect), Leases(database, clock, uuid4().hex, LEASE)
        telling = Telling(ReconStore(database.dialect), store, alarms)
        self._world = World(database, store, telling, leases, clock)
        self._store, self._leases = store, leases
        self.watched = asyncio.Event()
        self._has_worked = False

    async def watch_forever(self) -> None:
        """Follow until cancelled. Raise `ConfigError` or `DefinitionError` for what could not be followed so far."""
        pause = AGAIN[0]
        while True:
            lease = await self._taken()
            try:
                await _unless_cancelled(self._watch(lease))
            except Exception as error:
                why = _worst(error)
                if isinstance(why, Missed):
                    await self._note_gap(why)
                elif not self._may_go_on(why):
                    raise why from error
                pause = AGAIN[0] if self.watched.is_set() else min(2 * pause, AGAIN[1])
                log.warning("following is begun anew in %.1f s: %s", pause, why)
            finally:
                self.watched.clear()
                await self._give_back(lease)
            await self._clock.sleep(pause)

    async def _taken(self) -> Lease:
        while True:
            try:
                lease = await self._leases.take("recon-live")
            except DatabaseError as error:
                if not self._has_worked:
                    raise
                log.warning("the lease cannot be taken: %s", error)
            else:
                if lease is not None:
                    return lease
            await self._clock.sleep(STANDBY_EVERY)

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._leases.release(lease)
        except DatabaseError as error:
            log.warning("others have to wait for the end of the lease: %s", error)

    def _may_go_on(self, why: BaseException) -> bool:
        if isinstance(why, (DatabaseError, LostLease)):
            return True
        return self._has_worked and isinstance(why, (ConfigError, DefinitionError))

    async def _note_gap(self, missed: Missed) -> None:
        """Keep that a feed has missed something, and tell it: its rules are loaded anew, and until then it is a gap.

        Where that cannot be kept, the feed is opened again behind what was, and misses the same.
        """

        async def work(tx: Transaction) -> None:
            await self._store.add_feed(tx, missed.feed)
            await self._store.note_gap(tx, missed.feed, missed.why)
            await self._alarms.raise_alarm(tx, _alarm("feed-gap", missed.feed, str(missed), {"why": missed.why}))

        try:
            await self._database.transact(work)
        except DatabaseError as error:
            log.warning("a gap of %s is told once it can be kept: %s", missed.feed, error)

    async def _watch(self, lease: Lease) -> None:
        """One go: from opening everything to the first failure, which is raised in a group."""
        async with self._opened(lease) as (live, rules, followers), asyncio.TaskGroup() as group:
            group.create_task(live.keep_forever())
            for follower in followers.values():
                group.create_task(follower.read_forever(live.intake))
                group.create_task(follower.beat_forever())
            for rule in rules:
                group.create_task(Prober(self._world, live, rule, followers).probe_forever())
            group.create_task(self._activate(live, rules, followers))
            group.create_task(self._tend_forever(live, rules, followers))

    @asynccontextmanager
    async def _opened(self, lease: Lease) -> AsyncIterator[tuple[Live, list[Followed], dict[str, Follower]]]:
        """Sides and feeds, opened where the last node was; rules that are new, or changed, begin anew."""
        async with AsyncExitStack() as stack:
            rules = await self._followed(stack)
            followers = await self._followers(stack, rules)
            feeds = await self._database.read(self._store.feeds)
            live = Live(self._world, lease, rules, followers, feeds)
            stack.push_async_callback(live.leave)
            yield live, rules, followers

    async def _followed(self, stack: AsyncExitStack) -> list[Followed]:
        known = await self._database.read(self._store.rules)
        highest = max((one.number for one in known.values()), default=0)
        rules = []
        for rule in self._rules:
            both = await stack.enter_async_context(opened(rule, None))
            feeds = [name_of(side.source, self._options.get(side.source, FeedOptions())) for _, side in rule.sides]
            state = known.get(rule.name)
            number = state.number if state else (highest := highest + 1)
            made = Followed(rule, number, both, feeds, state.activated_at if state else 0)
            if state is not None and state.version == rule.version and state.feeds == feeds:
                made.phase = state.phase
                made.totals.update(state.totals)
            rules.append(made)
        return rules

    async def _followers(self, stack: AsyncExitStack, rules: Sequence[Followed]) -> dict[str, Follower]:
        async def add(tx: Transaction) -> None:
            for name in self._needed:
                await self._store.add_feed(tx, name)

        await self._database.transact(add)
        states = await self._database.read(self._store.feeds)
        followers = {}
        for name, need in self._needed.items():
            mine = [
                Translation(rule.number, side.reading, rule.rule.sample)
                for rule in rules
                for side, feed in zip(rule.both.sides, rule.feeds, strict=True)
                if feed == name
            ]
            follower = followers[name] = Follower(name, need.make(), mine, self._clock)
            follower.offset = await self._offset(rules, name)
            state = states[name]
            after = None if state.checkpoint is None or state.gap is not None else Position.parse(state.checkpoint)
            if after is None:
                for rule in rules:
                    rule.phase = "baseline" if name in rule.feeds else rule.phase
            stack.push_async_callback(follower.feed.close)
            await follower.open(after)
        return followers

    async def _offset(self, rules: Sequence[Followed], name: str) -> int:
        """How far a source's clock is ahead of the one of our database, in microseconds."""
        sides = (
            side.rows
            for rule in rules
            for side, feed in zip(rule.both.sides, rule.feeds, strict=True)
            if feed == name and side.probes
        )
        source: Any = next(sides, None)
        if source is None:
            return 0
        ours = await self._now(self._database)
        theirs = await self._now(source)
        return theirs - (ours + await self._now(self._database)) // 2

    async def _now(self, database: Database) -> int:
        async def now(tx: Transaction) -> int:
            row = await tx.fetch_one("SELECT {now} AS now")
            return 0 if row is None else int(row[0])

        return await database.read(now)

    async def _activate(self, live: Live, rules: Sequence[Followed], followers: Mapping[str, Follower]) -> None:
        """Load what rules had before that are new, have changed, or whose feed has a gap; then the gap is filled."""
        for rule in rules:
            if rule.phase != "live":
                await self._begin(live, rule)
                await load(live, self._store, rule, followers, rule.since, _silent)
                log.info("%s is live", rule.rule.name)
        await live.guarded(lambda tx: self._fill(tx, followers))
        self._has_worked = True
        self.watched.set()

    async def _begin(self, live: Live, rule: Followed) -> None:
        async def work(tx: Transaction) -> RuleState:
            name = rule.rule.name
            await self._store.activate(tx, name, rule.number, rule.rule.version, rule.feeds)
            return (await self._store.rules(tx))[name]

        rule.since = (await live.guarded(work)).activated_at
        rule.totals.clear()

    async def _fill(self, tx: Transaction, followers: Mapping[str, Follower]) -> None:
        states = await self._store.feeds(tx)
        for name in followers:
            if states[name].gap is not None:
                await self._store.note_gap(tx, name, None)
                await self._alarms.clear(
                    tx, _alarm("feed-gap", name, "").id, "compared anew with what its sources have"
                )

    async def _tend_forever(self, live: Live, rules: Sequence[Followed], followers: Mapping[str, Follower]) -> None:
        """Tell of feeds that are silent or far behind, and forget what has agreed for long."""
        told: dict[str, str] = {}
        places = {rule.number: "" for rule in rules}
        while True:
            await self._clock.sleep(TEND_EVERY)
            now = await self._now(self._database)
            for name, follower in followers.items():
                await self._tell_how(name, self._how(live, name, follower, now), told)
            for rule in rules:
                places[rule.number] = await self._forget(rule, places[rule.number], min(now, live.watermark(rule)))

    async def _forget(self, rule: Followed, after: str, now: int) -> str:
        before = now - rule.rule.memory
        return await self._database.transact(lambda tx: self._store.forget(tx, rule.number, after, before, FORGOTTEN))

    def _how(self, live: Live, name: str, follower: Follower, now: int) -> str:
        if self._clock.monotonic() > follower.heard + SILENT:
            return f"{name} has said nothing for {SILENT:.0f} s, not even a heartbeat"
        behind = now - live.passed(name)
        if live.passed(name) and behind > LAGGING:
            return f"{name} is more than {LAGGING // 1_000_000} s behind its source"
        return ""

    async def _tell_how(self, name: str, how: str, told: dict[str, str]) -> None:
        if how == told.get(name, ""):
            return
        told[name] = how

        async def work(tx: Transaction) -> None:
            alarm = _alarm("feed-silent", name, how, {"found": how})
            if how:
                await self._alarms.raise_alarm(tx, alarm)
            else:
                await self._alarms.clear(tx, alarm.id, "it is heard again, and up to date")

        await self._database.transact(work)


async def _unless_cancelled(work: Coroutine[Any, Any, None]) -> None:
    """Await work, and end with it when cancelled, also where it fails in that very moment and raises only why."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        raise
    task.result()


def _alarm(kind: str, feed: str, summary: str, evidence: dict[str, Any] | None = None) -> NewAlarm:
    return NewAlarm(kind, feed, summary, None, (evidence,) if evidence else (), reopens=True)


def _worst(error: BaseException) -> BaseException:
    """The error that tells most, of several that came together."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    order = (Missed, ConfigError, DefinitionError, LostLease, DatabaseError)
    flat = [_worst(one) for one in error.exceptions]
    return min(flat, key=lambda one: next((n for n, kind in enumerate(order) if isinstance(one, kind)), -1))


async def _silent(what: str, count: int) -> None:
    """Nobody is told."""
