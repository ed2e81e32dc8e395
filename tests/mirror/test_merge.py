"""Which observation of a cell wins, against a judge that looks at one cell at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.mirror.cells import SMALL, sighting
from tieout.mirror.calendar import NEVER, Checks
from tieout.mirror.rules import Sighting, is_mass_drop, merge, note_check, times

GROUP = np.zeros(1, np.int64)
AT = 3
WINDOW = np.arange(SMALL.ring)[None, :] == AT

observations = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.integers(0, 15),
        st.none() | st.integers(1, 3),
        st.booleans(),
    ).map(lambda o: ((o[0] * 1_000, (o[0] + o[1]) * 1_000), o[2], o[3])),
    min_size=1,
    max_size=8,
)


class Copy:
    """One item's row, read and written as the engine does it."""

    def __init__(self):
        self.row = SMALL.pack(SMALL.empty(1, 0))[0]
        self.checks = Checks.empty(1, SMALL.ring, 0)

    def take(self, at, price, *, whole):
        kept = SMALL.unpack([self.row])
        given = None if price is None else {"price": price, "open": True}
        seen = sighting(SMALL, at, {AT: given}, whole=whole)
        merged = merge(SMALL.fields, kept, self.checks, GROUP, seen)
        if whole:
            note_check(self.checks, WINDOW, seen.start, seen.end)
        if merged.written[0]:
            self.row = SMALL.pack(kept)[0]
        return bool(merged.changed[0, AT]), bool(merged.suspect[0, AT])

    @property
    def cell(self):
        cells = SMALL.unpack([self.row])
        if not cells.known[0, AT]:
            return None
        return int(cells.values["price"][0, AT]) if cells.values["open"][0, AT] else "closed"

    @property
    def interval(self):
        start, end = times(SMALL.unpack([self.row]), self.checks, GROUP)
        return int(start[0, AT]), int(end[0, AT])


@given(observations)
def test_a_newer_observation_is_never_overwritten_by_an_older_one(seen):
    """Whatever the order in which they come, what is kept was not observed wholly before anything that came."""
    copy = Copy()
    for at, price, whole in seen:
        copy.take(at, price, whole=whole)
    start, end = copy.interval
    assert all(end >= other_start for (other_start, _), _, _ in seen)
    kept = [price for at, price, _ in seen if at == (start, end)]
    assert (None if copy.cell == "closed" else copy.cell) in kept


@given(observations)
def test_what_cannot_be_ordered_is_suspect(seen):
    """An observation that overlaps the kept one and differs makes the cell suspect; disjoint or equal ones do not."""
    copy = Copy()
    for (start, end), price, whole in seen:
        kept, (kept_start, kept_end) = copy.cell, copy.interval
        overlaps = kept_start != NEVER and start <= kept_end and end >= kept_start
        _, suspect = copy.take((start, end), price, whole=whole)
        assert suspect == (overlaps and kept != ("closed" if price is None else price))


@given(observations)
def test_of_disjoint_observations_the_last_wins_in_any_order(seen):
    """When no two intervals overlap, the newest is kept, and nothing is suspect."""
    ordered = sorted(seen, key=lambda one: one[0])
    assume(all(first[0][1] < then[0][0] for first, then in pairwise(ordered)))
    copy = Copy()
    suspects = [copy.take(at, price, whole=whole)[1] for at, price, whole in seen]
    assert not any(suspects)
    assert copy.cell == ("closed" if ordered[-1][1] is None else ordered[-1][1])


def test_unchanged_data_writes_no_row():
    """The same answer about a whole group once more changes no row: its check time says it."""
    copy = Copy()
    assert copy.take((1_000, 2_000), 2, whole=True) == (True, False)
    row = copy.row
    kept = SMALL.unpack([row])
    again = sighting(SMALL, (3_000, 4_000), {AT: {"price": 2, "open": True}}, whole=True)
    merged = merge(SMALL.fields, kept, copy.checks, GROUP, again)
    assert not merged.written.any() and not merged.changed.any() and SMALL.pack(kept)[0] == row


def test_absence_closes_and_keeps_the_rest():
    """A cell that a complete answer does not have is closed; its price stays what it was."""
    copy = Copy()
    copy.take((1_000, 2_000), 2, whole=True)
    copy.take((3_000, 4_000), None, whole=True)
    cells = SMALL.unpack([copy.row])
    assert copy.cell == "closed" and cells.values["price"][0, AT] == 2


def test_a_cell_that_is_not_seen_is_left_alone():
    """An observation says nothing of cells that it does not speak of."""
    copy = Copy()
    copy.take((1_000, 2_000), 2, whole=False)
    kept = SMALL.unpack([copy.row])
    merge(SMALL.fields, kept, copy.checks, GROUP, sighting(SMALL, (3_000, 4_000), {AT + 1: None}))
    assert kept.values["price"][0, AT] == 2 and kept.values["open"][0, AT] and kept.known[0, AT]


def test_a_groups_check_drops_the_cells_own_times():
    """After a newer answer about the whole group a row is as short as it was."""
    copy = Copy()
    copy.take((1_000, 2_000), 2, whole=False)
    assert len(copy.row) > SMALL.size
    copy.take((3_000, 4_000), 2, whole=True)
    assert len(copy.row) == SMALL.size and copy.interval == (3_000, 4_000)


def test_mass_drops():
    """More than three quarters or a thousand of a supplier's groups do not vanish at once; a few may."""
    assert is_mass_drop(100, 76) and not is_mass_drop(100, 75)
    assert is_mass_drop(10_000, 1_001) and not is_mass_drop(10_000, 1_000)
    assert not is_mass_drop(4, 4)


def partly(copy, at, price, *, rest_holds=False):
    """A push that tells of the price alone; what is kept then, and whether the cell is suspect."""
    kept = SMALL.unpack([copy.row])
    seen = sighting(SMALL, at, {AT: {"price": price, "open": False}})
    told = {"price": seen.seen, "open": np.zeros_like(seen.seen)}
    merged = merge(SMALL.fields, kept, copy.checks, GROUP, seen._replace(told=told), rest_holds=rest_holds)
    copy.row = SMALL.pack(kept)[0]
    return copy.cell, bool(merged.suspect[0, AT])


def test_some_fields_of_a_cell():
    """What is told and certainly newer is taken, and the rest of the cell is suspect unless it is known to hold."""
    for rest_holds in (False, True):
        copy = Copy()
        copy.take((1_000, 2_000), 2, whole=True)
        assert partly(copy, (3_000, 4_000), 5, rest_holds=rest_holds) == (5, not rest_holds)
        assert copy.interval == (3_000, 4_000)


@given(st.integers(0, 40), st.integers(0, 15), st.booleans())
def test_some_fields_that_are_not_certainly_newer(start, length, rest_holds):
    """They change nothing, and make the cell suspect where they differ, whatever is known of the rest."""
    copy = Copy()
    copy.take((20_000, 50_000), 2, whole=True)
    at = (start * 1_000, (start + length) * 1_000)
    assert partly(copy, at, 5, rest_holds=rest_holds) == (2, True)
    assert partly(copy, at, 2, rest_holds=rest_holds) == (2, False)
    assert copy.interval == (20_000, 50_000)


def test_some_fields_of_a_cell_that_is_not_known():
    """A cell of which nothing is known does not become known by a part of it."""
    copy = Copy()
    assert partly(copy, (3_000, 4_000), 5, rest_holds=True) == (None, True)


@pytest.mark.parametrize("rest_holds", [False, True])
def test_a_cell_that_was_never_present_is_not_opened_by_a_part_of_it(rest_holds):
    """Of a night that was absent whenever it was observed no price is known: it stays closed, and is suspect."""
    copy = Copy()
    copy.take((1_000, 2_000), None, whole=True)
    kept = SMALL.unpack([copy.row])
    seen = sighting(SMALL, (3_000, 4_000), {AT: {"price": 0, "open": True}})
    told = {"price": np.zeros_like(seen.seen), "open": seen.seen}
    merged = merge(SMALL.fields, kept, copy.checks, GROUP, seen._replace(told=told), rest_holds=rest_holds)
    assert bool(merged.suspect[0, AT]) and not merged.taken.any()
    assert not kept.values["open"][0, AT]


def test_an_observation_of_no_known_beginning_keeps_its_end():
    """What was told at some time until yesterday is not older than what was true an hour before that: nobody knows."""
    hour, told = 3_600_000_000, 1_767_225_600_000_000
    for whole in (False, True):
        copy = Copy()
        assert copy.take((0, told), 2, whole=whole) == (True, False)
        assert copy.interval[1] == told
        assert copy.take((told - hour, told - hour + 1_000), 3, whole=False)[1]


@given(st.integers(0, 1 << 32))
def test_a_group_is_compared_as_each_of_its_items(seed):
    """Where no cell has a time of its own, times are compared by group, with the outcome of comparing cell by cell."""
    chance, (items, groups) = np.random.default_rng(seed), (7, 3)
    shape, of_groups = (items, SMALL.ring), (groups, SMALL.ring)
    group = np.sort(chance.integers(0, groups, items))
    start = chance.integers(0, 5, of_groups) * 1_000
    checks = Checks(np.zeros(groups, np.int64), start, start + chance.integers(0, 3, of_groups) * 1_000)
    begun, took = (chance.integers(0, 5, groups) * 1_000 for _ in range(2))
    seen = chance.random(of_groups)[group] < 0.7
    values = {"price": chance.integers(1, 3, shape, dtype=np.int32), "open": chance.random(shape) < 0.8}
    told = Sighting(seen, seen & (chance.random(shape) < 0.9), values, begun[group], (begun + took)[group], whole=True)
    copies = []
    for _ in range(2):
        again = np.random.default_rng(seed + 1)
        kept = SMALL.empty(items, 0)
        kept.known |= again.random(shape) < 0.8
        kept.values["price"] += again.integers(1, 3, shape, dtype=np.int32)
        kept.values["open"] |= again.random(shape) < 0.8
        copies.append(kept)
    by_group, by_cell = copies
    assert by_cell.start.max() == NEVER and by_cell.is_any_apart and not by_group.is_any_apart
    merged = [merge(SMALL.fields, kept, checks, group, told) for kept in copies]
    for one, other in zip(*merged, strict=True):
        assert (one == other).all()
    assert SMALL.pack(by_group) == SMALL.pack(by_cell)
