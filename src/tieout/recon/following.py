"""Feeds followed: what they tell is translated to facts, which wait here until they are kept with its position."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tieout.contracts import Clock
from tieout.errors import FeedGap
from tieout.feeds import Committed, Feed, Position, Told
from tieout.recon.facts import Fact, Seen
from tieout.recon.translating import Translation

TAKEN = 250
"""Row changes that are taken from a feed at a time: a few milliseconds' work.

Whoever keeps a batch needs the event loop for a moment at each of its statements. Were it held for longer here, the
database would be idle while the next batch is read, and nobody would read while it writes.
"""

HELD = 20_000
"""Facts that wait to be kept; beyond that feeds are not read, and their sources keep what comes."""

MANY = 2_000
"""Facts of a batch of which some may stay for the next one: a few hundredths of a second's."""

BEAT_EVERY = 0.5
"""Seconds between two heartbeats: how long a quiet source may leave a check waiting."""


class Missed(Exception):
    """A feed has missed changes, or cannot tell them whole."""

    def __init__(self, feed: str, why: str) -> None:
        super().__init__(f"{feed}: {why}")
        self.feed, self.why = feed, why


class Passed(NamedTuple):
    """How far a feed was read; `watermark` is on the clock that all feeds share."""

    position: Position
    watermark: int


class Batch(NamedTuple):
    """Facts in the order in which each feed told them, and how far each feed was read with them."""

    facts: list[Fact]
    passed: dict[str, Passed]


class Portion(NamedTuple):
    """What a feed has told at a time."""

    facts: list[Fact]
    passed: Passed


class Intake:
    """Where facts wait. They are taken by whole portions, so that facts and positions always fit.

    Where many wait, the last portions of a feed stay for the next batch if the other side of most of their keys has not
    come yet: a key whose halves are kept one after the other costs more than twice as much. Nothing stays twice.
    """

    def __init__(self) -> None:
        self._portions: dict[str, list[Portion]] = {}
        self._stayed: dict[str, int] = {}
        self._count = 0
        self._came, self._room = asyncio.Event(), asyncio.Event()

    def put(self, feed: str, facts: list[Fact], passed: Passed) -> None:
        """Add what a feed has told up to a position."""
        self._portions.setdefault(feed, []).append(Portion(facts, passed))
        self._count += len(facts)
        self._came.set()

    async def room(self) -> None:
        """Wait until more may be added."""
        while self._count >= HELD:
            self._room.clear()
            await self._room.wait()

    def __len__(self) -> int:
        return self._count

    def wake(self) -> None:
        """Have what waits elsewhere kept too."""
        self._came.set()

    async def came(self) -> None:
        """Wait until something was added, or has stayed."""
        await self._came.wait()

    def take(self, *, whole: bool = False) -> Batch:
        """What waits, but for what is to stay; all of it if `whole`."""
        batch = Batch([], {})
        self._stayed = self._staying() if self._count >= MANY and not whole else {}
        left = {}
        for feed, portions in self._portions.items():
            taken = len(portions) - self._stayed.get(feed, 0)
            for portion in portions[:taken]:
                batch.facts.extend(portion.facts)
                batch.passed[feed] = portion.passed
            if taken < len(portions):
                left[feed] = portions[taken:]
        self._portions = left
        self._count -= len(batch.facts)
        if not left:
            self._came.clear()
        self._room.set()
        return batch

    def _staying(self) -> dict[str, int]:
        """How many of each feed's last portions stay: those of whose keys mostly one side alone waits; never all."""
        told: tuple[set[str], set[str]] = (set(), set())
        for portions in self._portions.values():
            for portion in portions:
                for fact in portion.facts:
                    told[fact.side].add(fact.key)
        pairs = told[0] & told[1]
        staying = {}
        for feed, portions in self._portions.items():
            fresh = portions[self._stayed.get(feed, 0) :]
            staying[feed] = next((n for n, one in enumerate(reversed(fresh)) if _meets(one, pairs)), len(fresh))
        return staying if any(staying[feed] < len(portions) for feed, portions in self._portions.items()) else {}


def _meets(portion: Portion, pairs: set[str]) -> bool:
    """Whether most of a portion's keys are among these; a portion without any holds nothing up."""
    return 2 * sum([fact.key in pairs for fact in portion.facts]) >= len(portion.facts)


class Follower:
    """Reads one feed. `offset` is how far the source's clock is ahead of ours, in microseconds."""

    def __init__(self, name: str, feed: Feed, translations: Sequence[Translation], clock: Clock) -> None:
        self.name, self.feed, self.offset = name, feed, 0
        self.heard = clock.monotonic()
        self.position = Position("", 0)
        self._clock = clock
        self._tables: dict[str, list[Translation]] = {}
        for translation in translations:
            self._tables.setdefault(translation.table, []).append(translation)
        self._after: Position | None = None
        self._moved = asyncio.Event()

    @property
    def overlong(self) -> int:
        """Rows whose key was too long to be followed."""
        return sum(one.overlong for several in self._tables.values() for one in several)

    async def open(self, after: Position | None) -> Position:
        """Begin behind a position, or now; raise `Missed` when it cannot."""
        try:
            self.position = await self.feed.open(after)
        except FeedGap as gap:
            raise Missed(self.name, str(gap)) from gap
        self._after, self.heard = after, self._clock.monotonic()
        return self.position

    async def read_forever(self, intake: Intake) -> None:
        """Take from the feed while there is room; raise `Missed` for what it cannot tell."""
        try:
            while True:
                await intake.room()
                told = await self.feed.take(TAKEN)
                self.heard = self._clock.monotonic()
                if told:
                    facts, watermark = self._translated(told), told[-1].watermark - self.offset
                    self.position = told[-1].position
                    intake.put(self.name, facts, Passed(self.position, watermark))
                    self._moved.set()
                await asyncio.sleep(0)
        except FeedGap as gap:
            raise Missed(self.name, str(gap)) from gap

    async def beat_forever(self) -> None:
        """Have the source write heartbeats."""
        while True:
            await self.feed.beat()
            await self._clock.sleep(BEAT_EVERY)

    async def reach(self, position: Position) -> None:
        """Wait until it was read up to a position."""
        await self.feed.beat()
        while not self.position.covers(position):
            self._moved.clear()
            await self._moved.wait()

    def _translated(self, told: Sequence[Told]) -> list[Fact]:
        facts: list[Fact] = []
        offset, tables = self.offset, self._tables
        for one in told:
            if not isinstance(one, Committed):
                continue
            position = one.position
            if self._after is not None and self._was_kept(position, self._after):
                continue
            seen, at = Seen(one.at, f"{position.history}:{position.place}"), one.at - offset
            for change in one.changes:
                for translation in tables.get(change.table, ()):
                    translation.facts(change, at, seen, facts)
        return facts

    def _was_kept(self, position: Position, after: Position) -> bool:
        """Whether a transaction was taken in before this feed was opened: some feeds tell the last ones again."""
        if after.covers(position):
            return True
        self._after = None
        return False
