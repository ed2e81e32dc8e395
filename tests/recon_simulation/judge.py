"""Is what is kept and told of the keys what it has to be? Looks after every commit, with code of its own.

It knows what was in both sources at every moment, and replays each log up to the position that is kept. So it sees,
without any help of tieout's, whether the records of a key are those of that position, whether a break was told that
was none, or was none for as long as the grace, and whether one is missing at the end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.recon_simulation.source import DONE, Source
from tieout.testing.virtual import finish

if TYPE_CHECKING:
    from tests.recon_simulation.world import World

FACTS = "SELECT record_key, outcome, due, told, body FROM tieout_recon_fact"
RULES = "SELECT version, phase, totals FROM tieout_recon_rule"
FEEDS = "SELECT name, checkpoint, watermark, gap FROM tieout_recon_feed"
BREAKS = "SELECT record_key, outcome, state, last_at FROM tieout_recon_break"
ALARMS = "SELECT kind, object, state FROM tieout_alarm"
LEASES = "SELECT max(fence) FROM tieout_lease"

RESTING = ("tied", "late-tied", "withdrawn")
BREAK = ("missing", "orphan", "differs", "duplicate")
MOST = 20
"""Violations of one schedule that are kept."""

STALE = 30.0
"""Seconds that may go by between what a source said and what is told of it: feeds lag meanwhile."""

EXACT, INEXACT = 0.02, 1.5
"""Seconds by which clocks may be taken wrong, without and with slow databases."""

Record = tuple[int, tuple[str, ...]]


class Kept(NamedTuple):
    """What is kept of a key."""

    outcome: str
    due: int | None
    told: bool
    records: tuple[list[Record], list[Record]]


class Seen(NamedTuple):
    """Everything that is kept."""

    facts: dict[str, Kept]
    version: str
    phase: str
    totals: dict[str, int]
    feeds: dict[str, tuple[int, int]]
    has_gap: bool
    breaks: dict[str, tuple[str, str, int]]
    alarms: dict[tuple[str, str], str]
    fence: int


class Replay:
    """A log replayed up to a position."""

    def __init__(self, source: Source) -> None:
        self._source, self._place = source, 0
        self._rows: dict[int, Any] = {}
        self.latest: dict[str, int] = {}

    def to(self, place: int) -> None:
        for entry in self._source.log[self._place : place]:
            for row, after in entry.changes:
                was = self._rows.get(row)
                self._rows[row] = after
                both = [one for one in (was, after) if one is not None and one.state == DONE and was != after]
                self.latest |= {one.id: entry.at for one in both}
        self._place = max(self._place, place)

    def records(self, *, whole: bool) -> dict[str, list[Record]]:
        return asserted(self._rows.values(), whole=whole)


def asserted(rows: Iterable[Any], *, whole: bool) -> dict[str, list[Record]]:
    """The records of every key whose event has happened; of `whole` ones all fields are compared."""
    found: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        if row is not None and row.state == DONE:
            found[row.id].append((row.done, (row.sku, str(row.cost)) if whole else (row.sku,)))
    return {key: sorted(records) for key, records in found.items()}


class Judge:
    """What was seen so far, and what was wrong with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.looks = 0
        self.untold: set[str] = set()
        self._first = ""
        self._replays: list[Replay] = []
        self._history: dict[str, list[tuple[float, tuple[str, str]]]] = defaultdict(list)
        self._before: Seen | None = None

    def verdict(self, ours: Sequence[Record], theirs: Sequence[Record]) -> str:
        """What these records of a key come to."""
        rates = self.world.rates
        if len(theirs) > 1 or (len(ours) > 1 and not rates.many):
            return "duplicate"
        if not ours or not theirs:
            return "missing" if ours else "orphan" if theirs else "withdrawn"
        (_, said), wrong = theirs[0], False
        wrong = any(values[0] != said[0] for _, values in ours)
        if len(said) > 1:
            wrong |= sum(int(values[1]) for _, values in ours) != int(said[1])
        if wrong:
            return "differs"
        return "late-tied" if abs(theirs[0][0] - max(at for at, _ in ours)) > rates.grace * 1e6 else "tied"

    def happened(self, keys: Iterable[str]) -> None:
        """Note what keys come to by what the sources have now."""
        for key in keys:
            both = []
            for whole in (True, False):
                sides = [asserted((r for r in s.rows.values() if r.id == key), whole=whole) for s in self.world.sources]
                both.append(self.verdict(*(side.get(key, []) for side in sides)))
            self._history[key].append((self.world.now, (both[0], both[1])))

    def confirmed(self, source: Source, place: int) -> None:
        """A source was told that it may forget."""
        kept = self._read().feeds.get(source.name, (0, 0))[0]
        if place > kept:
            self._violated(f"{source.name} may forget up to {place}, and {kept} is kept")

    def look(self) -> None:
        """Look at everything."""
        self.looks += 1
        seen = self._read()
        before, self._before = self._before, seen
        self._replay(seen)
        self._watermarks(seen)
        self._told(seen, before)
        self._count(seen, before)
        self._first = self._first or seen.version
        if seen.phase == "live" and not seen.has_gap:
            self._records(seen)

    def is_settled(self) -> bool:
        """Whether nothing is left to be judged, and what is told is what there is."""
        return not self._unsettled(self._read())

    def final(self) -> list[str]:
        """What is wrong at the end."""
        return [f"at the end: {what}" for what in self._unsettled(self._read())]

    def _unsettled(self, seen: Seen) -> list[str]:
        wrong = [f"{key} is {one.outcome}" for key, one in seen.facts.items() if one.due is not None]
        told = {key: outcome for key, (outcome, state, _) in seen.breaks.items() if state == "open"}
        there = {key: what for key, what in self._now().items() if what in BREAK}
        wrong += [f"{key}: told {told.get(key)}, and is {there.get(key)}" for key in told.keys() | there.keys()
                  if told.get(key) != there.get(key)]  # fmt: skip
        if seen.phase != "live" or seen.has_gap:
            wrong.append(f"{seen.phase}, with a gap: {seen.has_gap}")
        still = {f"pairs {outcome}" for outcome in there.values()}
        alarmed = {what for (kind, what), state in seen.alarms.items() if kind == "recon-breaks" and state == "open"}
        wrong += [f"alarms of {sorted(alarmed)}, and there are {sorted(still)}"] if alarmed != still else []
        counted = {name: count for name, count in seen.totals.items() if count and name != "facts"}
        kept: dict[str, int] = defaultdict(int)
        for one in seen.facts.values():
            kept[one.outcome] += 1
        # What is forgotten stays counted as it was, until it is known again.
        if self.world.rates.memory > self.world.rates.until + 300 and counted != dict(kept):
            wrong.append(f"counted {counted}, and there are {dict(kept)}")
        return wrong

    def _now(self) -> dict[str, str]:
        sides = [asserted(source.rows.values(), whole=not self.world.is_changed) for source in self.world.sources]
        return {key: self.verdict(*(side.get(key, []) for side in sides)) for key in sides[0].keys() | sides[1].keys()}

    def _is_whole(self, seen: Seen) -> bool:
        return not self.world.is_changed or seen.version == self._first

    def _replay(self, seen: Seen) -> None:
        self._replays = self._replays or [Replay(source) for source in self.world.sources]
        for source, replay in zip(self.world.sources, self._replays, strict=True):
            place = seen.feeds.get(source.name, (0, 0))[0]
            replay.to(place)

    def _watermarks(self, seen: Seen) -> None:
        """Whatever is behind the kept position was committed later than the watermark says."""
        for source in self.world.sources:
            place, watermark = seen.feeds.get(source.name, (0, 0))
            rest = source.log[place : place + 1]
            if rest and watermark > rest[0].at + self._inexact() * 1e6:
                self._violated(f"{source.name} is kept to {place}, and its watermark is {watermark - rest[0].at} late")

    def _inexact(self) -> float:
        return INEXACT if self.world.rates.slow else EXACT

    def _records(self, seen: Seen) -> None:
        """The records of each key are those up to the positions kept, and it stands as they say."""
        ours, theirs = (replay.records(whole=self._is_whole(seen)) for replay in self._replays)
        for key in ours.keys() | theirs.keys() | seen.facts.keys():
            kept = seen.facts.get(key)
            if key in self.untold or (kept is not None and kept.outcome == "doubtful"):
                continue
            there = ours.get(key, []), theirs.get(key, [])
            if kept is None:
                is_fine = self.verdict(*there) in RESTING or self._is_old(there)
                if not is_fine:
                    self._violated(f"{key} is not kept, and was {there}")
                continue
            if kept.records != there and not self._is_old(there):
                self._violated(f"{key} ({kept.outcome}) is kept as {kept.records}, and was {there}")
            self._stands(key, kept, seen)

    def _is_old(self, there: Sequence[Sequence[Record]]) -> bool:
        """Whether it is so old that a baseline does not know of it."""
        oldest = min((at for records in there for at, _ in records), default=0)
        now = self.world.time.micros() - (self.world.rates.memory - 10) * 1e6
        return oldest < now

    def _stands(self, key: str, kept: Kept, seen: Seen) -> None:
        verdict = self.verdict(*kept.records)
        is_open = seen.breaks.get(key, ("", "", 0))[1] == "open"
        if kept.outcome in (*RESTING, *BREAK) and kept.outcome != verdict:
            self._violated(f"{key} is {kept.outcome}, and its records are {verdict}")
        if kept.outcome == "waiting" and (kept.due is None or verdict in RESTING):
            self._violated(f"{key} waits until {kept.due}, and its records are {verdict}")
        if kept.told is not is_open:
            self._violated(f"{key} is told: {kept.told}, and its break is open: {is_open}")

    def _told(self, seen: Seen, before: Seen | None) -> None:
        """A break that is told now is one, and was none of the pairs that come within the grace."""
        for key, (outcome, state, last) in seen.breaks.items():
            was = before.breaks.get(key) if before else None
            if was is not None and was[1] == "open" and state != "open":
                self.world.note("mended")
            if state != "open" or was == (outcome, state, last):
                continue
            self.world.note(f"{outcome} told")
            if before and was and was[:2] == (outcome, state) and before.facts.get(key) == seen.facts.get(key):
                self._violated(f"{key} was told {outcome} twice")
            latest = max(replay.latest.get(key, 0) for replay in self._replays)
            both = min(watermark for _, watermark in seen.feeds.values())
            # A later version of the rule compares less: not all that changes a row is a fact of it.
            is_early = latest + (self.world.rates.grace - self._inexact()) * 1e6 > both
            if is_early and not self.world.is_changed:
                self._violated(f"{key} was told {outcome} before both feeds had come so far")
            self.world.tell(f"{key} is told {outcome}")
            if key not in self.untold and not self._was_long(key, outcome, whole=self._is_whole(seen)):
                self._violated(f"{key} was told {outcome}: {self._history[key][-4:]} at {self.world.now}")

    def _was_long(self, key: str, outcome: str, *, whole: bool) -> bool:
        """Whether it has been this lately, at the end of a time of some disagreement that was as long as the grace."""
        which, now, begun = 0 if whole else 1, self.world.now, None
        history = self._history[key]
        for number, (since, both) in enumerate(history):
            until = history[number + 1][0] if number + 1 < len(history) else now
            verdict = both[which]
            if verdict in RESTING:
                begun = None
                continue
            begun = since if begun is None else begun
            is_late = until >= now - STALE
            if verdict == outcome and is_late and until - begun >= self.world.rates.grace - self._inexact():
                return True
        return False

    def _count(self, seen: Seen, before: Seen | None) -> None:
        """Note what happens seldom."""
        counts = self.world.counts
        for key, one in seen.facts.items():
            was = before.facts.get(key) if before else None
            counts[one.outcome] += was is None or was.outcome != one.outcome
            counts["asked again"] += one.outcome == "doubtful" and was is not None and was.outcome in RESTING
        if before is None:
            return
        counts["taken over"] += seen.fence > before.fence > 0
        counts["gap told"] += seen.has_gap and not before.has_gap
        counts["gap filled"] += before.has_gap and not seen.has_gap
        counts["gap of a key told"] += len(seen.alarms.keys() - before.alarms.keys() & {("feed-gap", "prizes")}) * bool(
            self.untold
        )
        if seen.phase == before.phase == "live":
            counts["key forgotten"] += len(before.facts.keys() - seen.facts.keys())
        for kind, what in seen.alarms.keys() - before.alarms.keys():
            is_planted = any(source.name == what and (source.cuts or self.untold) for source in self.world.sources)
            if kind == "feed-gap" and not is_planted:
                self._violated(f"{what} is said to have missed something")

    def _read(self) -> Seen:
        found: list[list[Any]] = finish(self.world.database.read(_all))
        facts, rules, feeds, breaks, alarms, leases = found
        version, phase, totals = rules[0] if rules else ("", "", "{}")
        return Seen(
            {_key(key): Kept(outcome, due, bool(told), _records(body)) for key, outcome, due, told, body in facts},
            version,
            phase,
            json.loads(totals),
            {name: (json.loads(at)["place"] if at else 0, watermark) for name, at, watermark, _ in feeds},
            any(gap is not None for *_, gap in feeds),
            {_key(key): (outcome, state, last) for key, outcome, state, last in breaks},
            {(kind, what): state for kind, what, state in alarms},
            int(leases[0][0] or 0),
        )

    def _violated(self, what: str) -> None:
        self.world.tell(f"VIOLATED  {what}")
        if len(self.violations) < MOST:
            self.violations.append(what)


async def _all(tx: Any) -> list[list[Any]]:
    return [[tuple(row) for row in await tx.fetch(sql)] for sql in (FACTS, RULES, FEEDS, BREAKS, ALARMS, LEASES)]


def _key(text: str) -> str:
    (key,) = json.loads(text)
    return str(key)


def _records(body: str) -> tuple[list[Record], list[Record]]:
    ours, theirs, _ = json.loads(body)
    return _sorted(ours), _sorted(theirs)


def _sorted(records: list[Any]) -> list[Record]:
    return sorted((at, tuple(values)) for at, values in records)
