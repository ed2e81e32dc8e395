"""A batch of observations laid over the rows of their groups, so that many are merged at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tieout.mirror.answers import Answer, below_each_other, read_answer, read_answers
from tieout.mirror.calendar import NEVER, Bools, Checks, Ints, Layout
from tieout.mirror.copying import Copy
from tieout.mirror.digests import Told
from tieout.mirror.observed import Cause, Observed
from tieout.mirror.rules import Sighting
from tieout.mirror.words import Garbled, Words


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

    The items of a group stand together, and groups by their places. Items that are gone have no name.
    """

    numbers: Sequence[int]
    group: Ints
    place: dict[str | None, int]


class Window(NamedTuple):
    """The cells of some observations of one turn that are still open, from `first` on, in these `slots` of the rows.

    `runs` tell which cells of the answers stand in which slots: in one run, or in two around the ring's end.
    """

    seen: list[tuple[Seen, Answer]]
    first: int
    slots: Ints
    runs: list[tuple[slice, slice]]


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


def turns(seen: Sequence[tuple[Seen, Answer]]) -> Iterator[list[tuple[Seen, Answer]]]:
    """All observations, each group once in a turn."""
    queues: dict[int, list[tuple[Seen, Answer]]] = defaultdict(list)
    for one in seen:
        queues[one[0].group].append(one)
    for turn in range(max(map(len, queues.values()), default=0)):
        yield [queue[turn] for queue in queues.values() if turn < len(queue)]


def rounds(layout: Layout, rows: Rows, checks: Checks, seen: Sequence[tuple[Seen, Answer]]) -> Iterator[Round]:
    """All observations, each group once in a round; those of whole groups and others apart."""
    for whole in (True, False):
        for turn in turns([one for one in seen if one[0].is_whole is whole]):
            yield _round(layout, rows, checks, turn)


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
    is_partial = any(answer.fields != layout.fields.keys() for _, answer in seen)
    told = {name: np.zeros(shape, dtype=np.bool_) for name in layout.fields} if is_partial else None
    windows = _open_windows(layout, checks, seen)
    for one in windows:
        places, begin = _places(rows, one.seen), 0
        for answer in below_each_other(answer for _, answer in one.seen):
            at = places[begin : begin + len(answer)]
            known = slice(None) if (at >= 0).all() else at >= 0
            there, begin = answer.present[known], begin + len(answer)
            for slots, cells in one.runs:
                present[at[known], slots] = there[:, cells]
            for name, column in answer.values.items():
                for slots, cells in one.runs:
                    values[name][at[known], slots] = column[known, cells]
                    if told is not None:
                        told[name][at[known], slots] = there[:, cells]
    asked = Asked.of([one.group for one, _ in seen], [one.observed for one, _ in seen])
    window, start, end = windows_of(layout, checks, asked)
    whole = seen[0][0].is_whole
    seen_cells = window[rows.group] if whole else present
    sighting = Sighting(seen_cells, present, values, start[rows.group], end[rows.group], whole, told)
    return Round(windows, sighting, window, start, end)


def _runs(first: int, count: int, skipped: int, ring: int) -> list[tuple[slice, slice]]:
    """Where `count` cells, the first at `first`, stand in a ring, and which they are of answers with others before."""
    slot = first & (ring - 1)
    before = min(count, ring - slot)
    runs = [(slice(slot, slot + before), slice(skipped, skipped + before))]
    return runs if before == count else [*runs, (slice(count - before), slice(skipped + before, skipped + count))]


def _open_windows(layout: Layout, checks: Checks, seen: Sequence[tuple[Seen, Answer]]) -> list[Window]:
    """The observations by the cells of them that the rings of their groups hold now; others are over, or too far off.

    Those of a window have the same fields.
    """
    base, ring, alike = checks.base.tolist(), layout.ring, defaultdict(list)
    for one, answer in seen:
        first = max(one.observed.first, base[one.group])
        end = min(one.observed.first + one.observed.count, base[one.group] + ring)
        if first < end:
            skipped = first - one.observed.first
            alike[first, skipped, end - first, frozenset(answer.fields)].append((one, answer))
    return [
        Window(some, first, (first + np.arange(count)) & (ring - 1), _runs(first, count, skipped, ring))
        for (first, skipped, count, _), some in alike.items()
    ]


def _places(rows: Rows, seen: Sequence[tuple[Seen, Answer]]) -> Ints:
    """The rows of the answers' items; -1 for those that are not of the groups that these are about."""
    find, answers = rows.place.get, [answer for _, answer in seen]
    places = np.array([find(name, -1) for some in below_each_other(answers) for name in some.items], dtype=np.int64)
    if len(rows.group):
        groups = np.repeat([one.group for one, _ in seen], list(map(len, answers)))
        places[rows.group[places] != groups] = -1
    return places
