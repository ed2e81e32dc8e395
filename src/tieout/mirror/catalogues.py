"""Catalogues: what a supplier has, compared with what its copy has. Only a catalogue adds or removes items."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from tieout.config import microseconds, zone_of
from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.errors import ConfigError, DefinitionError, InvalidKey
from tieout.identity import key_bytes
from tieout.mirror.calendar import Checks
from tieout.mirror.copying import Copy, day_end, first_open
from tieout.mirror.define import Group
from tieout.mirror.doubts import EVERY
from tieout.mirror.sightings import CATALOGUE, Sighted, Sightings
from tieout.mirror.store import GroupRow, ItemName, MirrorStore, number
from tieout.mirror.words import Garbled

T = TypeVar("T")

ROWS = 1_500
"""Most rows written in one transaction: short enough that nobody waits for it."""

MOST_ITEMS = 2_000_000
"""Most items of one supplier; a catalogue without an end is stopped there."""


class Changes(NamedTuple):
    """What a catalogue has that the copy has not, has otherwise, and has no more.

    `brought` items came back, moved, or are of a group whose days begin earlier than its rows reach back.
    """

    new_groups: list[GroupRow]
    changed_groups: list[GroupRow]
    lost_groups: list[int]
    new_items: list[ItemName]
    brought_items: list[ItemName]
    lost_items: list[int]

    def __bool__(self) -> bool:
        return any(self)

    @property
    def to_ask(self) -> list[int]:
        """Known groups that have items of which nothing is known: what was checked says nothing of these."""
        new = {group.n for group in self.new_groups}
        return sorted({item.group for item in (*self.new_items, *self.brought_items)} - new)


class Step(NamedTuple):
    """Some of what a catalogue changes: so many rows, and what stores them."""

    rows: int
    store: Callable[[Transaction], Awaitable[None]]


class Catalogue:
    """The groups of a catalogue as they come in, page by page; raise `Garbled` for what cannot be stored.

    What the copy has already keeps its number, which is the same as that of its name and costs less.
    """

    def __init__(self, copy: Copy | None = None) -> None:
        self._known_groups = {} if copy is None else {group.name: group.n for group in copy.groups}
        self._known_items = {} if copy is None else copy.items
        self.groups: dict[str, GroupRow] = {}
        self.items: dict[str, ItemName] = {}

    def add(self, page: Any) -> None:
        """Take in a page."""
        if not isinstance(page, Sequence) or not all(isinstance(group, Group) for group in page):
            raise Garbled(f"a page of a catalogue is a list of groups, not {page!r:.100}")
        for group in page:
            self._add_group(group)

    def _add_group(self, group: Group) -> None:
        if isinstance(group.items, str):
            raise Garbled(f"the items of {group.key!r:.100} are a list of keys, not the text {group.items!r:.100}")
        n = self._known_groups.get(group.key) or _number(group.key, "group")
        if group.key in self.groups:
            raise Garbled(f"the catalogue has the group {group.key!r} twice")
        self.groups[group.key] = GroupRow(n, group.key, *_day_end(group), b"", None)
        for name in group.items:
            if name in self.items:
                raise Garbled(f"the catalogue has the item {name!r} twice")
            known = self._known_items.get(name)
            number = _number(name, "item") if known is None else known.n
            self.items[name] = ItemName(n, number, name, None)
        if len(self.items) > MOST_ITEMS:
            raise Garbled(f"the catalogue has more than {MOST_ITEMS} items")

    def compare(self, copy: Copy, now: int) -> Changes:
        """What it changes in a copy, at the server's time `now`."""
        if copy.is_new:
            return Changes(list(self.groups.values()), [], [], list(self.items.values()), [], [])
        known = {group.name: group for group in copy.groups}
        groups = {name: group for name, group in self.groups.items() if name not in known}
        items = {name: item for name, item in self.items.items() if name not in copy.items}
        back = self._set_back(copy, now)
        moved = [
            item
            for name, item in self.items.items()
            if name in copy.items and (_moved(item, copy.items[name]) or item.group in back)
        ]
        return Changes(
            [group for name, group in groups.items() if name not in copy.gone_groups],
            [group for name, group in self.groups.items() if name not in groups and _differs(group, known[name])]
            + [group for name, group in groups.items() if name in copy.gone_groups],
            [group.n for name, group in known.items() if name not in self.groups],
            [item for name, item in items.items() if name not in copy.gone_items],
            [item for name, item in items.items() if name in copy.gone_items] + moved,
            [item.n for name, item in copy.items.items() if name not in self.items],
        )

    def _set_back(self, copy: Copy, now: int) -> set[int]:
        """Groups whose first day lies before what their rows hold: their day ends later now. Rows only go forward."""
        held = {group.n: int(base) for group, base in zip(copy.groups, copy.checks.base, strict=True)}
        ends = {group.n: day_end(copy.terms, group.zone, group.rollover) for group in self.groups.values()}
        first = {end: first_open(copy.layout.axis, now, end) for end in set(ends.values())}
        return {n for n, end in ends.items() if n in held and first[end] < held[n]}


class Cataloguer:
    """Stores what catalogues change, a number of rows at a time, as the copy's only writer."""

    def __init__(self, database: Database, store: MirrorStore, leases: Leases) -> None:
        self._database = database
        self._store = store
        self._leases = leases
        self._sightings = Sightings(database.dialect)

    async def store(self, lease: Lease, copy: Copy, changes: Changes) -> Lease:
        """Store the changes and know the copy as it is then; raise `LostLease` when somebody else writes.

        What a crash leaves half done the next catalogue finds and does.
        """
        number, layout = copy.number, copy.layout
        empty = layout.pack(layout.empty(1, 0))[0]
        checks = Checks.empty(1, layout.ring, 0).pack()[0]
        unasked = [(n, checks) for n in changes.to_ask]
        steps = [
            *_parts(changes.new_groups, lambda tx, part: self._store.add_groups(tx, number, _unchecked(part, checks))),
            *_parts(changes.changed_groups, lambda tx, part: self._store.change_groups(tx, number, part)),
            *_parts(changes.new_items, lambda tx, part: self._store.add_items(tx, number, part, empty)),
            *_parts(changes.brought_items, lambda tx, part: self._store.bring_items(tx, number, part, empty)),
            *_parts(unasked, lambda tx, part: self._store.write_checks(tx, number, part)),
            *_parts(changes.lost_items, lambda tx, part: self._store.remove_items(tx, number, part)),
            *_parts(changes.lost_groups, lambda tx, part: self._store.remove_groups(tx, number, part)),
            Step(0, lambda tx: self._note(tx, number, has_changed=bool(changes))),
        ]
        if changes:
            copy.digests.clear()
        for some in together(steps):
            lease = await self._do(lease, some)
        if copy.is_ahead:
            copy.is_ahead = False
        elif changes:
            await self._database.read(lambda tx: copy.load_names(tx, self._store))
            copy.note_blank(group.n for group in changes.new_groups)
        return lease

    async def _note(self, tx: Transaction, number: int, *, has_changed: bool) -> None:
        await self._store.note_catalogue(tx, number)
        if has_changed:
            head = await self._sightings.head(tx, number)
            await self._sightings.add(tx, number, head, [Sighted(0, EVERY, 0, 0, CATALOGUE, 0, 0, True, 0, 0, b"")])

    async def _do(self, lease: Lease, steps: Sequence[Step]) -> Lease:
        async def work(tx: Transaction) -> Lease:
            renewed = await self._leases.guard(tx, lease)
            for step in steps:
                await step.store(tx)
            return renewed

        return await self._database.transact(work)


def together(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps as they are done in one transaction each, in their order."""
    some, rows = list[Step](), 0
    for step in steps:
        if some and rows + step.rows > ROWS:
            yield some
            some, rows = [], 0
        some.append(step)
        rows += step.rows
    yield some


def _parts(rows: Sequence[T], store: Callable[[Transaction, Sequence[T]], Awaitable[None]]) -> Iterable[Step]:
    for at in range(0, len(rows), ROWS):
        part = rows[at : at + ROWS]
        yield Step(len(part), partial(_stored, store, part))


async def _stored(
    store: Callable[[Transaction, Sequence[T]], Awaitable[None]], part: Sequence[T], tx: Transaction
) -> None:
    await store(tx, part)


def _unchecked(groups: Iterable[GroupRow], checks: bytes) -> list[GroupRow]:
    return [msgspec.structs.replace(group, checks=checks) for group in groups]


def _number(name: Any, what: str) -> int:
    try:
        return number(key_bytes(name, what).decode())
    except InvalidKey as error:
        raise Garbled(str(error)) from error


def _day_end(group: Group) -> tuple[str | None, int | None]:
    try:
        zone = None if group.zone is None else zone_of(group.zone).key
        return zone, None if group.rollover is None else microseconds(group.rollover)
    except (ConfigError, DefinitionError) as error:
        raise Garbled(f"{group.key!r}: {error}") from error


def _moved(item: ItemName, known: ItemName) -> bool:
    return item.group != known.group


def _differs(group: GroupRow, known: GroupRow) -> bool:
    return (group.zone, group.rollover) != (known.zone, known.rollover)
