"""Is the copy what it may be? Looks at it after every commit, with code of its own, beside what was true and when.

A value of the copy is the number of a version, which says from when to when it was true. So the judge sees without any
help of tieout's whether a cell was true when it is said to have been observed, whether an older value was put over a
newer one, and whether what cannot be known is doubted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tests.mirror_kill.copied import DOUBTS, GROUPS, ITEMS, MAIL, SUSPECTS, Cell, copy_of
from tests.mirror_simulation.supplier import TIMEOUT, Query
from tests.mirror_simulation.truth import DAYS, GROUP_OF, MICROS, Night, Version
from tieout.testing.virtual import finish

if TYPE_CHECKING:
    from tests.mirror_simulation.actors import Pushed
    from tests.mirror_simulation.world import World

ROUNDED = 2_000
"""Microseconds by which an interval of the copy may be longer than what was measured: it is kept in milliseconds."""

MOST = 20
"""Violations of one schedule that are kept."""

DAY = 86_400 * MICROS
EVERY = -1


class Judge:
    """What was seen of the copy so far, and what was wrong with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.messages: list[Pushed] = []
        self.cells: dict[Night, Cell] = {}
        self.doubtful: set[Night] = set()
        self._best: dict[Night, int] = {}
        self.looks = 0
        self._mail = 0
        self._learned: list[tuple[Night, Version, str]] = []

    def today(self) -> int:
        """The number of the first day of the copy."""
        return self.world.time.micros() // DAY

    def look(self) -> None:
        """Look at every cell."""
        self.looks += 1
        before, was_doubtful = self.cells, self.doubtful
        self._read()
        for night, cell in self.cells.items():
            for what in self._wrong(night, cell, before.get(night)):
                self._violated(f"{tuple(night)} at {cell}: {what}")
        counts = self.world.counts
        counts["night doubted"] += len(self.doubtful - was_doubtful)
        counts["doubt over"] += len((was_doubtful - self.doubtful) & self.cells.keys())
        for night, version, told_by in self._learned:
            self._is_known(night, version.price, told_by)
        self._learned.clear()

    def learned(self, night: Night, version: Version, told_by: str) -> None:
        """From now on the copy has this version of a night, or a newer one, or doubts what it has."""
        self._learned.append((night, version, told_by))
        self.look()

    def is_true(self) -> bool:
        """Whether the copy is what the supplier says now, and nothing is in doubt."""
        self._read()
        return not (self._mail or self.doubtful or list(self._differences()))

    def has_no_mail(self) -> bool:
        """Whether everything is merged that was left for the node that leads, and all is loaded."""
        self._read()
        return not self._mail and len(self.cells) == len(GROUP_OF) * DAYS

    def look_at_messages(self) -> None:
        """Everything that was acknowledged is in the copy, or its cells are doubtful."""
        for message in self.messages:
            if message.acknowledged and message.was_known:
                for night, version in message.nights.items():
                    self._has_heard(night, version, message)
            elif message.is_lost and self._is_missed(message):
                for night, version in message.nights.items():
                    self._is_known(night, version.price, f"a gap that left out {message.number}")

    def final(self) -> list[str]:
        """What is wrong when all is over."""
        self._read()
        wrong = [f"at the end: {what}" for what in self._differences()]
        wrong += [f"at the end {tuple(night)} is doubtful" for night in sorted(self.doubtful)]
        queries = self.world.supplier.queries
        self.world.counts["browse refreshed"] += sum(query.cause == "browse" for query in queries)
        return wrong + list(self._rates(queries)) + list(self._turns(queries)) + self._crowds(queries)

    def _read(self) -> None:
        async def look(tx: Any) -> Any:
            return [[tuple(row) for row in await tx.fetch(sql)] for sql in (ITEMS, SUSPECTS, DOUBTS, GROUPS, MAIL)]

        items, suspects, doubts, groups, mail = finish(self.world.database.read(look))
        self._mail = mail[0][0]
        names = {n: bytes(name).decode() for n, name, *_ in items}
        members: dict[int, list[str]] = defaultdict(list)
        for item, group in groups:
            if item in names:
                members[group].append(names[item])
        today = self.today()
        copy = copy_of(items)
        self.cells = {
            Night(item, day): cell
            for item, cells in copy.items()
            for day, cell in cells.items()
            if today <= day < today + DAYS
        }
        doubted = [(Night(names[item], place), since) for item, place, since in suspects if item in names]
        for group, first, count, since in doubts:
            items_of = names.values() if group == EVERY else members.get(group, ())
            doubted += [(Night(item, day), since) for item in items_of for day in range(first, first + count)]
        self.doubtful = {night for night, since in doubted if night in self.cells and self.cells[night].start <= since}

    def _wrong(self, night: Night, cell: Cell, before: Cell | None) -> Iterable[str]:
        versions = self.world.truth.versions[night]
        # A night that was absent as long as anybody asked is closed, at no price.
        if not (1 <= cell.price <= len(versions) or (cell.price == 0 and not cell.open)):
            yield "no such price was ever true"
            return
        if before is not None and cell.start < before.start:
            yield f"it was observed later before: {before}"
        candidates = self._candidates(night, cell)
        if not candidates:
            if night not in self.doubtful:
                yield "price and state never were true together, and nobody doubts it"
            return
        newest, best = max(candidates), self._best.get(night, 0)
        if newest < best and night not in self.doubtful:
            yield f"version {best} was there before, and nobody doubts it"
        if newest < best:
            self.world.counts["newer one kept back, and doubted"] += 1
        if before is None or cell != before:
            # A closed night may be any closed version: what was surely there is the oldest that was true at the time.
            self._best[night] = max(best, min((one for one in candidates if self._held(night, one, cell)), default=0))
        if night not in self.doubtful and not any(self._held(night, one, cell) for one in candidates):
            yield "it was not true when it was observed"

    def _candidates(self, night: Night, cell: Cell) -> list[int]:
        """Which versions a cell may show. One that was absent is closed, at whatever price it had."""
        versions = self.world.truth.versions[night]
        if cell.open or not self.world.rates.absent:
            return [cell.price] if cell.price and versions[cell.price - 1].open is cell.open else []
        return [one.price for one in versions if not one.open]

    def _held(self, night: Night, version: int, cell: Cell) -> bool:
        since, ends = self.world.truth.versions[night][version - 1].since, self.world.truth.ends(night, version)
        return ends >= cell.start - ROUNDED and since <= cell.end + ROUNDED

    def _is_known(self, night: Night, price: int, told_by: str) -> None:
        cell = self.cells.get(night)
        if cell is None or night in self.doubtful:
            return
        if max(self._candidates(night, cell), default=0) < price:
            self._violated(f"{tuple(night)} at {cell}: version {price} was told by {told_by}, and nobody doubts it")

    def _has_heard(self, night: Night, version: Version, message: Pushed) -> None:
        cell = self.cells.get(night)
        if message.kind == "some fields" or cell is None:
            return
        if message.kind == "thin" and cell.start > message.acknowledged:
            return
        self._is_known(night, version.price, f"{message.number}, {message.kind}")

    def _is_missed(self, lost: Pushed) -> bool:
        """Whether a later number of its stream was acknowledged, and an earlier one before that."""
        of_stream = [
            one for one in self.messages if one.sequence >= 0 and one.stream == lost.stream and one.acknowledged
        ]
        first = min(of_stream, key=lambda one: one.acknowledged, default=None)
        later = any(one.sequence > lost.sequence for one in of_stream)
        return lost.sequence >= 0 and first is not None and first.sequence < lost.sequence and later

    def _differences(self) -> Iterable[str]:
        today = self.today()
        for item in GROUP_OF:
            for day in range(today, today + DAYS):
                night = Night(item, day)
                cell, now = self.cells.get(night), self.world.truth.now(night)
                if cell is None or cell.open != now.open or (now.open and cell.price != now.price):
                    yield f"{tuple(night)} is {cell}, and is {now}"

    def _rates(self, queries: list[Query]) -> Iterable[str]:
        """More queries in a window than the supplier allows, or of a class than its share."""
        came = [(class_of(query), query.came) for query in queries if query.kind != "catalogue"]
        yield from self._too_many("", self.world.rates.limit, [at for _, at in came])
        for kind, share in self.world.nodes[0].following.terms.classes.items():
            yield from self._too_many(f" of {kind}", share.count, [at for of, at in came if of == kind])

    def _too_many(self, of: str, most: int, came: list[float]) -> Iterable[str]:
        came, window = sorted(came), self.world.rates.window
        spans = [other - one for one, other in zip(came, came[most:], strict=False)]
        if spans and min(spans) < window - 1e-6:
            yield f"{most + 1} queries{of} within {min(spans):.3f} s of {window}"

    def _turns(self, queries: list[Query]) -> Iterable[str]:
        """Queries of the plan by two nodes at a time; a node does not wait for one beyond its time-out."""
        planned = sorted(
            (one for one in queries if one.kind == "catalogue" or one.cause in ("sync", "audit")),
            key=lambda one: one.came,
        )
        until: dict[str, float] = {}
        for query in planned:
            for node, end in until.items():
                if node != query.node and end > query.came:
                    yield f"{node} and {query.node} ask at a time, at {query.came:.3f}"
            until[query.node] = max(until.get(query.node, 0.0), min(query.ended, query.came + TIMEOUT))

    def _crowds(self, queries: list[Query]) -> list[str]:
        """More queries at a time than the supplier bears; nobody answers for one that takes twice its time-out."""
        longest = 2 * TIMEOUT - self.world.jitter
        turns: list[tuple[float, int]] = []
        for query in queries:
            if query.kind != "catalogue":
                turns += [(query.came, 1), (min(query.ended, query.came + longest), -1)]
        at_a_time = list(accumulate(turn for _, turn in sorted(turns)))
        self.world.counts["as many at a time as agreed"] += self.world.rates.concurrency in at_a_time
        most = max(at_a_time, default=0)
        agreed = self.world.rates.concurrency
        return [f"{most} queries at a time, where {agreed} are agreed"] if most > agreed else []

    def _violated(self, what: str) -> None:
        self.world.tell(f"!! {what}")
        if len(self.violations) < MOST:
            self.violations.append(what)


def class_of(query: Query) -> str:
    """Whose share of the supplier's budget a query has."""
    if query.kind == "check":
        return "order"
    return "browse" if query.cause == "browse" else "sync"
