"""A batch of observations laid over the rows of their groups, so that many are merged at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.answers import Answer, Garbled, Words, read_answer, read_answers
from tieout.mirror.calendar import NEVER, Bools, Checks, Ints, Layout
from tieout.mirror.copying import Copy
from tieout.mirror.observed import Cause, Observed
from tieout.mirror.rules import Sighting

Told: TypeAlias = tuple[Observed, int | None]
"""An observation, and the digest of its answer if that can be known by one."""


class Portion(NamedTuple):
    """Observations that are merged together: what the rows say already is `known`, the others are `news`."""

    known: list[Told]
    news: list[Told]
    is_last: bool


class Seen(NamedTuple):
    """An observation, its group's place in the batch, and the digest of its answer if that can be known by one."""

    group: int
    observed: Observed
    digest: int | None

    @property
    def is_whole(self) -> bool:
        """Whether the check time of its group can stand for it."""
        return self.observed.whole and self.observed.complete


class Asked(NamedTuple):
    """What observations were about, and when, as columns; `group` has the places of their groups in the batch."""

    group: Ints
    first: Ints
    cells: Ints
    start: Ints
    end: Ints

    @classmethod
    def of(cls, places: Sequence[int], observed: Sequence[Observed]) -> Asked:
        """The columns of observations of groups with these places."""
        first, cells = [one.first for one in observed], [one.count for one in observed]
        start, end = [one.start for one in observed], [one.end for one in observed]
        return cls(*(np.array(column, dtype=np.int64) for column in (places, first, cells, start, end)))

    def pick(self, some: Bools) -> Asked:
        """Some of them."""
        return Asked(*(column[some] for column in self))


class Read(NamedTuple):
    """Answers by the `id` of their observations, and those that cannot be used, with what is wrong with them."""

    answers: dict[int, Answer]
    garbled: list[tuple[Observed, str]]


class Batch(NamedTuple):
    """Observations as they are merged: `groups` are the places of their groups in the copy, in order, with `numbers`.

    What is `confirmed`, for the `causes` given, is what the rows say already; the others are compared with them. Both
    are `observed`. `garbled` ones are not used, for the reasons given.
    """

    groups: list[int]
    numbers: list[int]
    observed: list[Observed]
    confirmed: Asked
    causes: list[Cause]
    seen: list[tuple[Seen, Answer]]
    garbled: list[tuple[Observed, str]]


class Rows(NamedTuple):
    """The items of a batch: the number of each, its group's place in the batch, and where each name stands.

    The items of a group stand together, and groups by their places.
    """

    numbers: list[int]
    group: Ints
    place: dict[str, int]


class Window(NamedTuple):
    """The cells of some observations of one turn that are still open: `cells` of the answers, `slots` of the rows."""

    seen: list[tuple[Seen, Answer]]
    first: int
    cells: slice
    slots: Ints


class Round(NamedTuple):
    """Observations of different groups that are merged together, and of each group the cells that it spoke of."""

    windows: Sequence[Window]
    sighting: Sighting
    window: Bools
    start: Ints
    end: Ints


def read(layout: Layout, words: Words, told: Sequence[Told]) -> Read:
    """Answers, checked."""
    answers: dict[int, Answer] = {}
    garbled: list[tuple[Observed, str]] = []
    alike: dict[tuple[int, bool, bool], list[Observed]] = defaultdict(list)
    for one, digest in told:
        alike[one.count, one.cause == "push" and not one.complete, digest is not None].append(one)
    for (count, partial, is_plain), some in alike.items():
        if not partial:
            try:
                found = read_answers(layout, words, [one.items for one in some], count, is_plain=is_plain)
                answers.update(zip(map(id, some), found, strict=True))
                continue
            except Garbled:
                pass  # Which of them are, is found one by one.
        for one in some:
            try:
                answers[id(one)] = read_answer(layout, words, one.items, count, partial=partial)
            except Garbled as error:
                garbled.append((one, str(error)))
    return Read(answers, garbled)


def sort(copy: Copy, portion: Portion, read: Read) -> Batch:
    """The observations of a portion, of which those that are news were read."""
    index, answers = copy.index, read.answers
    lost = [one for one, _ in portion.news if one.group not in index]
    garbled = [(one, f"the catalogue has no group {one.group!r:.100}") for one in lost]
    told = [(one, digest) for one, digest in portion.news if id(one) in answers]
    observed, known = [one for one, _ in (*portion.known, *told)], len(portion.known)
    of_groups = np.array([index[one.group] for one in observed], dtype=np.int64)
    groups, of_batch = np.unique(of_groups, return_inverse=True)
    places, in_order = of_batch.tolist(), groups.tolist()
    numbers = [copy.groups[at].n for at in in_order]
    confirmed, causes = Asked.of(places[:known], observed[:known]), [one.cause for one in observed[:known]]
    seen = [(Seen(at, one, digest), answers[id(one)]) for at, (one, digest) in zip(places[known:], told, strict=True)]
    return Batch(in_order, numbers, observed, confirmed, causes, seen, garbled + read.garbled)


def turns(seen: Sequence[Seen]) -> Iterator[list[Seen]]:
    """All observations, each group once in a turn."""
    queues: dict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        queues[one.group].append(one)
    for turn in range(max(map(len, queues.values()), default=0)):
        yield [queue[turn] for queue in queues.values() if turn < len(queue)]


def rounds(layout: Layout, rows: Rows, checks: Checks, seen: Sequence[tuple[Seen, Answer]]) -> Iterator[Round]:
    """All observations, each group once in a round; those of whole groups and others apart."""
    answers = {id(one): answer for one, answer in seen}
    for whole in (True, False):
        for turn in turns([one for one, _ in seen if one.is_whole is whole]):
            yield _round(layout, rows, checks, [(one, answers[id(one)]) for one in turn])


def apart(asked: Asked) -> Iterator[Asked]:
    """All observations, each group once in a turn."""
    order = np.argsort(asked.group, kind="stable")
    begins = np.flatnonzero(np.diff(asked.group[order], prepend=-1))
    turn = np.zeros(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    for at in range(int(turn.max(initial=-1)) + 1):
        yield asked.pick(turn == at)


def windows_of(layout: Layout, checks: Checks, asked: Asked) -> tuple[Bools, Ints, Ints]:
    """Of each group of the batch the cells that were asked for, and when; none for a group that was not."""
    count = len(checks.base)
    first, cells = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    start, end = np.full(count, NEVER, dtype=np.int64), np.full(count, NEVER, dtype=np.int64)
    first[asked.group], cells[asked.group] = asked.first, asked.cells
    start[asked.group], end[asked.group] = asked.start, asked.end
    # Where a slot is behind the first one is less than the ring is long: two bytes, in place of a position's eight.
    begin, last = np.maximum(first, checks.base), np.minimum(first + cells, checks.base + layout.ring)
    behind = (np.arange(layout.ring, dtype=np.int16) - (begin & (layout.ring - 1)).astype(np.int16)[:, None]) & (
        layout.ring - 1
    )
    window: Bools = behind < (last - begin)[:, None]
    return window, start, end


def _round(layout: Layout, rows: Rows, checks: Checks, seen: Sequence[tuple[Seen, Answer]]) -> Round:
    shape = (len(rows.numbers), layout.ring)
    present = np.zeros(shape, dtype=np.bool_)
    values = {name: np.zeros(shape, dtype=field.stored) for name, field in layout.fields.items()}
    is_partial = any(answer.values.keys() != layout.fields.keys() for _, answer in seen)
    told = {name: np.zeros(shape, dtype=np.bool_) for name in layout.fields} if is_partial else None
    windows = _open_windows(layout, checks, seen)
    for one in windows:
        known, places = _places(rows, one.seen)
        runs = _runs(one.slots, layout.ring)
        there = _of_items([answer.present[:, one.cells] for _, answer in one.seen], known)
        for slots, cells in runs:
            present[places, slots] = there[:, cells]
        for name in layout.fields:
            given = [answer for _, answer in one.seen if name in answer.values]
            if len(given) == len(one.seen):
                column = _of_items([answer.values[name][:, one.cells] for answer in given], known)
                for slots, cells in runs:
                    values[name][places, slots] = column[:, cells]
                    if told is not None:
                        told[name][places, slots] = there[:, cells]
    asked = Asked.of([one.group for one, _ in seen], [one.observed for one, _ in seen])
    window, start, end = windows_of(layout, checks, asked)
    whole = seen[0][0].is_whole
    seen_cells = window[rows.group] if whole else present
    sighting = Sighting(seen_cells, present, values, start[rows.group], end[rows.group], whole, told)
    return Round(windows, sighting, window, start, end)


def _runs(slots: Ints, ring: int) -> list[tuple[slice, slice]]:
    """Where cells in a row stand in the ring, and which of them: in one run, or in two around the ring's end."""
    first, count = int(slots[0]), len(slots)
    before = min(count, ring - first)
    runs = [(slice(first, first + before), slice(before))]
    return runs if before == count else [*runs, (slice(count - before), slice(before, count))]


def _of_items(columns: list[NDArray[Any]], known: Bools) -> NDArray[Any]:
    """Answers below each other, of known items alone."""
    whole = columns[0] if len(columns) == 1 else np.concatenate(columns)
    return whole if known.all() else whole[known]


def _open_windows(layout: Layout, checks: Checks, seen: Sequence[tuple[Seen, Answer]]) -> list[Window]:
    """The observations by the cells of them that the rings of their groups hold now; others are over, or too far off.

    Those of a window have the same fields.
    """
    base, alike = checks.base.tolist(), defaultdict(list)
    for one, answer in seen:
        first = max(one.observed.first, base[one.group])
        end = min(one.observed.first + one.observed.count, base[one.group] + layout.ring)
        if first < end:
            skipped = first - one.observed.first
            alike[first, skipped, end - first, frozenset(answer.values)].append((one, answer))
    return [
        Window(some, first, slice(skipped, skipped + count), (first + np.arange(count)) & (layout.ring - 1))
        for (first, skipped, count, _), some in alike.items()
    ]


def _places(rows: Rows, seen: Sequence[tuple[Seen, Answer]]) -> tuple[Bools, Ints]:
    """Which of the answers' items are of the groups that they are about, and the rows of those."""
    place = rows.place
    places = np.array([place.get(name, -1) for _, answer in seen for name in answer.items], dtype=np.int64)
    groups = np.repeat([one.group for one, _ in seen], [len(answer.items) for _, answer in seen])
    known: Bools = (places >= 0) & (rows.group[places] == groups) if len(rows.group) else places >= 0
    return known, places[known]
