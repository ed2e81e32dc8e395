"""Reading one supplier's copy: what it says of a stay, a refresh behind that, and the supplier's word for an order."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.contracts import Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.errors import DatabaseError, InvalidParams, UnknownItem
from tieout.mirror.answers import read_answer
from tieout.mirror.calendar import NEVER, Bools, Checks, Layout
from tieout.mirror.copying import day_end, first_open
from tieout.mirror.define import CLASSES, SlowDown, largest
from tieout.mirror.demand import Counting
from tieout.mirror.doubts import Doubt, Doubts
from tieout.mirror.fields import Field, Kind
from tieout.mirror.folding import cells_of_stay, fold_stay, is_known, words_of
from tieout.mirror.observed import Observed, encode
from tieout.mirror.offers import Difference, ItemCell, ItemCells, Offer, Truth, Unavailable, likely
from tieout.mirror.rules import times
from tieout.mirror.store import ItemRow, number
from tieout.mirror.suppliers import BEYOND, BROWSE_PATIENCE, Following
from tieout.mirror.words import VERSION, Words

log = logging.getLogger("tieout.mirror")


class Stay(NamedTuple):
    """Some cells of an item in a row, as the copy has them; each array has `nights` + 1 values.

    `words` are those that were the copy's when the row was read.
    """

    first: int
    nights: int
    row: ItemRow
    first_open: int
    known: Bools
    start: NDArray[np.int64]
    is_own: Bools
    cells: Mapping[str, NDArray[Any]]
    words: Mapping[int, str] = MappingProxyType({})


class Reading:
    """Reads one copy, on any node."""

    def __init__(self, following: Following, half_life: float, counting: Counting) -> None:
        self.following = following
        self.counting = counting
        self.outcomes: Counter[str] = Counter()
        self._world = following.world
        self._doubts = Doubts(self._world.database.dialect)
        self._half_life = half_life
        self._words: dict[int, str] = {}
        window = max(following.terms.window / 1_000_000, BROWSE_PATIENCE + following.terms.timeout)
        self._browses = Leases(self._world.database, self._world.clock, self._world.leases.holder, window)

    async def read(self, item: str, first: int, nights: int) -> tuple[Offer, Stay]:
        """What the copy says of a stay; raise `UnknownItem` when the catalogue does not have the item."""
        stay, doubts = await self._look(item, first, nights)
        suspects = doubtful(stay, doubts)
        rests = np.arange(cells_of_stay(self.following.layout, nights))
        if not is_known(self.following.layout, stay.known, nights):
            return Offer(None, None, 0.0, bool(suspects), None), stay
        values = fold_stay(self.following.layout, stay.cells, nights, stay.words)
        observed = int(stay.start[rests].min())
        age = None if observed == NEVER else max(0.0, (stay.row.now - observed) / 1_000_000)
        source: Literal["group", "item"] = "item" if stay.is_own[rests].any() else "group"
        is_suspect = bool(suspects)
        still = likely(age, self._half_life, suspect=is_suspect)
        return Offer(values, age, still, is_suspect, source), stay

    async def item(self, item: str) -> ItemCells:
        """All cells of an item; raise `UnknownItem`."""
        axis, terms = self.following.layout.axis, self.following.terms

        def whole(row: ItemRow) -> Stay:
            return self._stay(row, first_open(axis, row.now, day_end(terms, row.zone, row.rollover)), axis.count)

        stay, doubts = await self._read(item, 0, 1 << 40, whole)
        suspects = doubtful(stay, doubts)
        cells = [self._cell(stay, at, suspect=stay.first + at in suspects) for at in range(axis.count)]
        return ItemCells(terms.name, stay.row.group, item, cells)

    def _cell(self, stay: Stay, at: int, *, suspect: bool) -> ItemCell:
        where = self.following.layout.axis.start_of(stay.first + at)
        if not stay.known[at]:
            return ItemCell(where, None, None, suspect)
        values: dict[str, Any] = {}
        for name, field in self.following.layout.fields.items():
            value = stay.cells[name][at].item()
            if field.kind == "dictionary":
                value = msgspec.json.decode(stay.words[value]) if value else None
            values[name] = value
        observed = int(stay.start[at])
        return ItemCell(where, values, None if observed == NEVER else (stay.row.now - observed) / 1_000_000, suspect)

    async def refresh(self, stay: Stay) -> None:
        """Ask for the window that a stay begins in, unless somebody has within the supplier's window of time."""
        following, most = self.following, largest(self.following.supplier).max_cells
        offset = (stay.first - stay.first_open) // most * most
        first, count = stay.first_open + offset, min(most, following.layout.axis.count - offset)
        if not following.may_ask():
            return
        # By its place from the first open cell on: the same few leases for all days to come.
        lease = await self._browses.take(f"browse/{following.name}/{number(stay.row.group)}/{offset}")
        if lease is None:
            return
        observed = None
        slot = await self._admitted("browse", following.terms.places.browse, BROWSE_PATIENCE, following.terms.timeout)
        if slot is not None:
            observed = await following.ask(stay.row.group, first, count, "browse", self.post, slot)
        if observed is None:
            await self._browses.release(lease)
        else:
            await self.post(observed)

    async def verify(self, item: str, first: int, nights: int) -> Truth:
        """The supplier's word for a stay. Where the copy differs its cells become suspect, and it is told."""
        truth = await self._verify(item, first, nights)
        self.counting.note(number(item), "order")
        self.outcomes.update([truth.unavailable] if truth.unavailable else truth.differs or ["same"])
        return truth

    async def _verify(self, item: str, first: int, nights: int) -> Truth:
        following = self.following
        offer, stay = await self.read(item, first, nights)
        patience, timeout = following.terms.order_patience, following.terms.order_timeout
        slot = await self._admitted("order", following.terms.places.order, patience, timeout)
        if slot is None:
            return Truth(None, unavailable="budget")
        count, begun = cells_of_stay(following.layout, nights), following.moments.earliest()

        async def came_late(answer: Any) -> None:
            await self._learn(stay, item, answer, begun, count)

        try:
            arguments = (item, following.layout.axis.start_of(first), count)
            answer = await following.attempt(following.supplier.check, arguments, timeout, came_late, slot)
        except TimeoutError:
            return Truth(None, unavailable=self._failed("timeout"))
        except SlowDown as error:
            await following.slow_down(error)
            return Truth(None, unavailable="budget")
        except Exception as error:  # noqa: BLE001 - whatever a supplier's class raises, the order is not known
            return self._unchecked(item, error)
        try:
            truth = await self._learn(stay, item, answer, begun, count)
        except DatabaseError:  # which is no fault of the supplier's
            raise
        except Exception as error:  # noqa: BLE001 - whatever it has answered, the order is not known
            return self._unchecked(item, error)
        self._world.breakers.record(following.name, self._world.clock.monotonic(), answered=True)
        return Truth(truth, differences(following.layout, offer.values, truth))

    async def _admitted(self, kind: str, slots: Sequence[int], patience: float, timeout: float) -> Lease | None:
        """A slot for one query, and its token: None when there are not both within `patience` seconds."""
        following, clock = self.following, self._world.clock
        end, longest = clock.monotonic() + patience, BEYOND * timeout
        slot = await following.slots.take(slots, patience, longest)
        if slot is None:
            return None
        budget = kind if kind in following.terms.classes else CLASSES[-1]  # nothing is reserved for it
        has_token = await following.budget.take(budget, max(0.0, end - clock.monotonic()))
        if has_token and following.slots.lasts(slot, longest):
            return slot
        await following.give_back(slot)
        return None

    async def post(self, observed: Observed) -> None:
        """Leave an observation for whoever writes the copy."""
        store, copy = self._world.store, self.following.number
        await self._world.database.transact(lambda tx: store.post(tx, copy, uuid4().bytes, encode(observed)))

    async def _look(self, item: str, first: int, nights: int) -> tuple[Stay, list[Doubt]]:
        layout = self.following.layout
        if nights < 1 or nights > layout.axis.count:
            raise InvalidParams(f"a stay has from 1 to {layout.axis.count} cells, not {nights}")
        return await self._read(item, first, first + nights, lambda row: self._stay(row, first, nights))

    async def _read(
        self, item: str, first: int, last: int, stay_of: Callable[[ItemRow], Stay]
    ) -> tuple[Stay, list[Doubt]]:
        """What a row says, and the words that it names: read again where these became others meanwhile."""
        while True:
            row, doubts = await self._row(item, first, last)
            stay = stay_of(row)
            words = await self._words_of(row, words_of(self.following.layout, stay.cells))
            if words is not None:
                return stay._replace(words=words), doubts

    async def _row(self, item: str, first: int, last: int) -> tuple[ItemRow, list[Doubt]]:
        following, store, n = self.following, self._world.store, number(item)

        async def work(tx: Transaction) -> tuple[ItemRow | None, list[Doubt]]:
            row = await store.read_item(tx, following.number, n)
            return row, await self._doubts.of_item(tx, following.number, n, first, last)

        begun = following.moments.begin()
        row, doubts = await self._world.database.read(work)
        if row is None:
            raise UnknownItem(f"{following.name} has no item {item!r:.100}")
        following.moments.learn(row.now, begun)
        return row, doubts

    async def _words_of(self, row: ItemRow, needed: set[int]) -> Mapping[int, str] | None:
        """Words that have those which a row needs; None when they are not those of the moment in which it was read."""
        words = self._words
        if needed - words.keys() or (needed and words.get(VERSION) != row.version):
            store, copy = self._world.store, self.following.number
            self._words = words = await self._world.database.read(lambda tx: store.words(tx, copy))
        return words if not needed or words.get(VERSION) == row.version else None

    def _stay(self, row: ItemRow, first: int, nights: int) -> Stay:
        layout = self.following.layout
        opens = first_open(layout.axis, row.now, day_end(self.following.terms, row.zone, row.rollover))
        if not opens <= first or first + nights > opens + layout.axis.count:
            here = layout.axis.start_of(opens)
            raise InvalidParams(f"the copy has {layout.axis.count} cells from {here} on; not all of these")
        cells, checks = layout.unpack([row.cells]), Checks.unpack([row.checks], layout.ring)
        cells.roll(opens)
        checks.roll(opens)
        start, _ = times(cells, checks, np.zeros(1, dtype=np.int64))
        slots = (first + np.arange(nights + 1)) & (layout.ring - 1)
        values = {name: column[0, slots] for name, column in cells.values.items()}
        is_own = cells.start[0, slots] == start[0, slots]
        return Stay(first, nights, row, opens, cells.known[0, slots], start[0, slots], is_own, values)

    async def _learn(self, stay: Stay, item: str, answer: Any, begun: int, count: int) -> dict[str, Any] | None:
        """Take in the supplier's word for a stay: leave it for the writer, and mark at once what is different."""
        following, end = self.following, self.following.moments.latest()
        if answer is None:
            await self._mark(item, range(stay.first, stay.first + stay.nights), end)
            return None
        words = Words({})
        checked = read_answer(following.layout, words, {item: answer}, count)
        differs = ~stay.known[:count] | ~checked.present[0]
        truth = {}
        for name, field in following.layout.fields.items():
            told = checked.values[name][0]
            differs |= _differ(field, stay.cells[name][:count], told, stay.words, words.added)
            truth[name] = np.resize(told, stay.nights + 1)
        different = [stay.first + int(at) for at in np.flatnonzero(differs)]
        whole = Observed(
            stay.row.group, stay.first, count, begun, end, {item: answer}, "order", complete=False, whole=False
        )
        await self._mark(item, different, begun - 1, whole)
        if not checked.present.all():
            return None
        return fold_stay(following.layout, truth, stay.nights, words.added)

    async def _mark(self, item: str, positions: Iterable[int], since: int, told: Observed | None = None) -> None:
        """Mark cells, together with the observation that takes the marks back: its writer has to find both."""
        store, copy = self._world.store, self.following.number
        cells = [(number(item), position) for position in positions]

        async def work(tx: Transaction) -> None:
            await store.add_suspects(tx, copy, cells, since)
            if told is not None:
                await store.post(tx, copy, uuid4().bytes, encode(told))

        await self._world.database.transact(work)

    def _unchecked(self, item: str, error: Exception) -> Truth:
        log.warning("%s: %s could not be checked: %s: %s", self.following.name, item, type(error).__name__, error)
        return Truth(None, unavailable=self._failed("error"))

    def _failed(self, why: Unavailable) -> Unavailable:
        self._world.breakers.record(self.following.name, self._world.clock.monotonic(), answered=False)
        return why


def doubtful(stay: Stay, doubts: Iterable[Doubt]) -> set[int]:
    """The positions of a stay's cells that are doubtful: those that were not observed since."""
    at = stay.first + np.arange(stay.nights + 1)
    found = np.zeros(len(at), dtype=np.bool_)
    for doubt in doubts:
        found |= (at >= doubt.first) & (at < doubt.first + doubt.cells) & (stay.start <= doubt.since)
    return {int(position) for position in at[found]}


def _differ(
    field: Field, kept: NDArray[Any], told: NDArray[Any], ours: Mapping[int, str], theirs: Mapping[int, str]
) -> Bools:
    """Which values are told otherwise than they are kept; words have numbers of their own on each side."""
    if field.kind != "dictionary":
        return np.asarray(kept != told)
    return np.array([ours.get(int(one)) != theirs.get(int(other)) for one, other in zip(kept, told, strict=True)])


def differences(
    layout: Layout, copied: Mapping[str, Any] | None, truth: Mapping[str, Any] | None
) -> frozenset[Difference]:
    """How the supplier's word for a stay differs from what the copy said."""
    if copied is None:
        return frozenset({"unknown"})
    if truth is None:
        return frozenset({"sold-out"})
    pairs = ((field.kind, copied[name], truth[name]) for name, field in layout.fields.items())
    return frozenset(_difference(kind, ours, theirs) for kind, ours, theirs in pairs if ours != theirs)


def _difference(kind: Kind, ours: Any, theirs: Any) -> Difference:
    match kind:
        case "money":
            return "price-up" if theirs > ours else "price-down"
        case "flag":
            return "opened" if theirs else "sold-out"
        case _:
            return "changed"
