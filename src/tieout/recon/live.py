"""Both sides followed: facts are kept in one transaction with the feeds' positions, judged, and told when they stay.

There is one writer at a time, by a lease that every transaction proves. So a key's row is read, changed and written by
nobody else meanwhile, and what two feeds say of it meets in one place.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import msgspec

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.lease import Lease, Leases, LostLease
from tieout.errors import CommitUnknown
from tieout.feeds import Position
from tieout.recon.define import Rule
from tieout.recon.evidence import anchored
from tieout.recon.fact_store import FactStore, FeedState, Phase
from tieout.recon.facts import RESTING, Fact, Kept, Plain, missed
from tieout.recon.following import Batch, Follower, Intake, Passed
from tieout.recon.rules import BREAKS, Record
from tieout.recon.sources import Both
from tieout.recon.telling import Found, Lost, News, Telling

T = TypeVar("T")

LINGER = 0.02
"""Seconds that a small batch waits for more: a twentieth of what a verdict may take."""

SMALL = 500
"""Facts of a batch that waits for more."""

CONFIRM_EVERY = 0.25
"""Seconds between two confirmations, after which a source may forget what was kept."""

LAST_WORD = 1.0
"""Seconds that a source has to take in the last confirmation."""

ATTEMPTS = 10
"""How often a batch is tried again before everything is begun anew from what is kept."""


class World(NamedTuple):
    """What following acts on."""

    database: Database
    store: FactStore
    telling: Telling
    leases: Leases
    clock: Clock


class Followed:
    """A rule that is followed: its sides, its feeds, and what its keys have come to."""

    def __init__(self, rule: Rule, number: int, both: Both, feeds: Sequence[str], since: int) -> None:
        self.rule, self.number, self.both, self.feeds = rule, number, both, tuple(feeds)
        self.judged, self.plain = both.judged, Plain(both.judged)
        self.phase: Phase = "baseline"
        self.since = since
        self.totals: Counter[str] = Counter()


class Settlement(NamedTuple):
    """What both sources have said of a key, which nothing has changed since."""

    rule: int
    key: str
    upstream: list[Record]
    downstream: list[Record]
    causes: list[str]


class Work(NamedTuple):
    """What one transaction is to keep."""

    facts: dict[int, dict[str, list[Fact]]]
    settled: dict[int, list[Settlement]]
    passed: dict[str, Passed]
    answered: int


class Done(NamedTuple):
    """What a transaction has made of the lease, of the totals of each rule, and of the feeds."""

    lease: Lease
    totals: dict[int, Counter[str]]
    feeds: list[FeedState]


class Live:
    """Keeps and judges what followers read. What the sources say of keys in doubt comes through `settle`."""

    def __init__(
        self,
        world: World,
        lease: Lease,
        rules: Sequence[Followed],
        followers: Mapping[str, Follower],
        feeds: Mapping[str, FeedState],
    ) -> None:
        self.intake = Intake()
        self._world, self._lease = world, lease
        self._database, self._store, self._clock = world.database, world.store, world.clock
        self._rules = {one.number: one for one in rules}
        self._followers = followers
        self._feeds = dict(feeds)
        self._asked: dict[tuple[int, str], bool] = {}
        self._settled: list[Settlement] = []
        self._answered = self._judged = 0
        self._confirmed = world.clock.monotonic()
        self._passed: dict[str, Passed] = {}
        self._moved = asyncio.Event()
        self._writing = asyncio.Lock()

    def watermark(self, rule: Followed) -> int:
        """Up to when both feeds of a rule were kept."""
        return min(self._feeds[name].watermark for name in rule.feeds)

    def passed(self, feed: str) -> int:
        """Up to when a feed was kept, 0 before its first word."""
        return self._feeds[feed].watermark

    def ask(self, rule: Followed, keys: Sequence[str]) -> list[str]:
        """The keys that nobody is asking for; from now on what changes them is noted."""
        fresh = [key for key in keys if (rule.number, key) not in self._asked]
        self._asked.update(dict.fromkeys(((rule.number, key) for key in fresh), False))
        return fresh

    def forgo(self, rule: Followed, keys: Sequence[str]) -> None:
        """Ask no longer."""
        for key in keys:
            self._asked.pop((rule.number, key), None)

    async def settle(self, answers: Sequence[Settlement]) -> None:
        """Have what the sources have said judged, unless the key has changed since it was asked for.

        Wait until that is kept: whoever looks for what is due before would find the same keys, and tell them again.
        """
        self._settled += answers
        self._answered += 1
        mine = self._answered
        self.intake.wake()
        while self._judged < mine:
            self._moved.clear()
            await self._moved.wait()

    async def reach(self, positions: Mapping[str, Position]) -> None:
        """Wait until all up to these positions is kept."""
        await asyncio.gather(*(self._followers[name].reach(position) for name, position in positions.items()))
        while not all(
            name in self._passed and self._passed[name].position.covers(one) for name, one in positions.items()
        ):
            self._moved.clear()
            await self._moved.wait()

    async def keep_forever(self) -> None:
        """Keep what comes, batch by batch; what sources have said only with all that was read before they said it."""
        while True:
            await self.intake.came()
            if len(self.intake) < SMALL:
                await self._clock.sleep(LINGER)
            async with self._writing:
                await self._keep(self._sorted(self.intake.take(whole=bool(self._settled))))
            await self._confirm()

    async def guarded(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction that nobody else's facts come between."""

        async def guard(tx: Transaction) -> T:
            await self._world.leases.guard(tx, self._lease)
            return await work(tx)

        async with self._writing:
            return await self._database.transact(guard)

    async def go_live(self, rule: Followed) -> None:
        """Note that all that a rule had before is kept."""

        async def work(tx: Transaction) -> Counter[str]:
            totals = await self._store.count(tx, rule.number)
            totals["facts"] = rule.totals["facts"]
            await self._store.go_live(tx, rule.rule.name, rule.rule.version)
            await self._store.count_rule(tx, rule.rule.name, totals)
            return totals

        rule.totals = await self.guarded(work)
        rule.phase = "live"

    def _sorted(self, batch: Batch) -> Work:
        """A batch by rule and key; keys that are being asked for and have changed are to be asked for again."""
        facts: dict[int, dict[str, list[Fact]]] = defaultdict(dict)
        for fact in batch.facts:
            several = facts[fact.rule].get(fact.key)
            if several is None:
                facts[fact.rule][fact.key] = [fact]
            else:
                several.append(fact)
        for rule, key in self._asked:
            if key in facts.get(rule, ()):
                self._asked[rule, key] = True
        settled: dict[int, list[Settlement]] = defaultdict(list)
        for one in self._settled:
            if not self._asked.pop((one.rule, one.key), True):
                settled[one.rule].append(one)
        self._settled = []
        return Work(facts, settled, batch.passed or self._passed, self._answered)

    async def _keep(self, work: Work) -> None:
        """Keep and judge it in one transaction, however often that takes; a repetition finds that it was done."""
        done: list[Done] = []

        async def keep(tx: Transaction) -> None:
            done[:] = [await self._kept_in(tx, work)]

        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._database.transact(keep)
                break
            except CommitUnknown:
                if await self._was_kept(work):
                    break
                if attempt == ATTEMPTS:
                    raise
        self._note_kept(work, done[0])

    def _note_kept(self, work: Work, done: Done) -> None:
        self._lease = done.lease
        for number, totals in done.totals.items():
            self._rules[number].totals = totals
        for feed in done.feeds:
            self._feeds[feed.name] = feed
        self._passed |= work.passed
        self._judged = work.answered
        self._moved.set()

    async def _was_kept(self, work: Work) -> bool:
        """Whether a commit whose answer was lost has happened; every one passes a feed at least."""
        feeds = await self._database.read(self._store.feeds)
        return any(feeds[name].fence != self._feeds[name].fence for name in work.passed)

    async def _kept_in(self, tx: Transaction, work: Work) -> Done:
        lease = await self._world.leases.guard(tx, self._lease)
        totals = {}
        for number in work.facts.keys() | work.settled.keys():
            rule = self._rules[number]
            totals[number] = await self._judged_in(tx, rule, work.facts.get(number, {}), work.settled.get(number, []))
        feeds = [self._state(name, passed) for name, passed in work.passed.items()]
        for feed in feeds:
            if not await self._store.pass_feed(tx, feed):
                raise LostLease(f"the feed {feed.name} was taken in by somebody else")
        return Done(lease, totals, feeds)

    async def _judged_in(
        self, tx: Transaction, rule: Followed, facts: Mapping[str, Sequence[Fact]], settled: Sequence[Settlement]
    ) -> Counter[str]:
        totals = rule.totals.copy()
        keys = {**dict.fromkeys(facts), **dict.fromkeys(one.key for one in settled)}
        kept = await self._store.kept(tx, rule.number, list(keys))
        known = frozenset(kept)
        mended = self._take(rule, facts, kept, totals)
        news = News([], mended, [])
        for one in settled:
            self._settle(rule, one, kept, totals, news)
        await self._write(tx, rule.number, kept, known)
        if any(news):
            await self._world.telling.tell(tx, rule.rule, rule.judged, news)
        if overlong := sum(self._followers[name].overlong for name in rule.feeds):
            totals["unfollowed"] = overlong
        await self._store.count_rule(tx, rule.rule.name, totals)
        return totals

    async def _write(self, tx: Transaction, rule: int, keys: Mapping[str, Kept], known: frozenset[str]) -> None:
        """Keep these, of which some were known; others tidy away what is known, and nobody else begins anything."""
        fresh = {key: one for key, one in keys.items() if key not in known} if known else keys
        if fresh:
            await self._store.begin(tx, rule, fresh)
        if known:
            await self._store.write(tx, rule, {key: keys[key] for key in known})

    def _take(
        self, rule: Followed, facts: Mapping[str, Sequence[Fact]], kept: dict[str, Kept], totals: Counter[str]
    ) -> list[str]:
        """Let facts have their effect on what is kept; the keys that are mended by that."""
        mended = []
        is_live = rule.phase == "live"
        for key, several in facts.items():
            one = kept.get(key)
            if one is None:
                one = kept[key] = Kept.of(several)
            else:
                totals[one.outcome] -= 1
                for fact in several:
                    one.take(fact)
            if not is_live:
                one.doubt()
            one.stand(rule.judged, rule.plain)
            totals[one.outcome] += 1
            totals["facts"] += len(several)
            if one.told and one.outcome in RESTING:
                one.told = False
                mended.append(key)
        return mended

    def _settle(
        self, rule: Followed, said: Settlement, kept: dict[str, Kept], totals: Counter[str], news: News
    ) -> None:
        """Judge a key by what its sources have said."""
        one = kept.setdefault(said.key, Kept())
        totals[one.outcome] -= one.outcome != "new"
        both = (said.upstream, said.downstream)
        if one.outcome == "waiting":
            # What is older than the memory may have been told, and forgotten since.
            since = max(rule.since, self.watermark(rule) - rule.rule.memory)
            for side, feed in enumerate(rule.feeds):
                if records := missed(one, side, both[side], since + self._followers[feed].offset):
                    news.lost.append(Lost(feed, said.key, side, len(records)))
        verdict = one.settle(rule.judged, *both, self.watermark(rule))
        if one.outcome in BREAKS and self._is_ignored(rule, both):
            one.outcome = "ignored"
        totals[one.outcome] += 1
        if one.outcome in BREAKS:
            one.told = True
            news.found.append(Found(said.key, verdict, *both, said.causes, tuple(one.body.seen)))
        elif one.told and one.outcome != "waiting":
            one.told = False
            news.mended.append(said.key)

    def _is_ignored(self, rule: Followed, both: Sequence[list[Record]]) -> bool:
        return any(at in one.period for at in anchored(rule.judged, *both) for one in rule.rule.ignores)

    def _state(self, name: str, passed: Passed) -> FeedState:
        feed = self._feeds[name]
        watermark = max(feed.watermark, passed.watermark)
        offset = self._followers[name].offset
        return msgspec.structs.replace(
            feed, checkpoint=passed.position.text(), fence=feed.fence + 1, watermark=watermark, offset=offset
        )

    async def _confirm(self) -> None:
        """Let the sources forget what is kept."""
        if self._clock.monotonic() < self._confirmed + CONFIRM_EVERY:
            return
        self._confirmed = self._clock.monotonic()
        for name, passed in self._passed.items():
            await self._followers[name].feed.confirm(passed.position)

    async def leave(self) -> None:
        """Let the sources forget what is kept, those that still hear it: who follows next need not read it again."""
        for name, passed in self._passed.items():
            with suppress(Exception):  # else it would stand for why following ends, and hide that it was cancelled
                async with asyncio.timeout(LAST_WORD):
                    await self._followers[name].feed.confirm(passed.position)
