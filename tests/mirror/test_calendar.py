"""Packed rows: what is packed is unpacked, time going on writes nothing, and what is over is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.mirror.cells import HOTEL, SMALL
from tieout.errors import SchemaMismatch
from tieout.mirror.axis import days, one
from tieout.mirror.calendar import NEVER, Cells, Checks, Layout, bitmap, from_bitmap, positions
from tieout.mirror.fields import flag, money

MOMENT = st.integers(0, 1 << 52)


@st.composite
def some_cells(draw, layout=SMALL):
    """Any cells that can be stored, with times of whole milliseconds."""
    count, ring = draw(st.integers(0, 5)), layout.ring
    cells = layout.empty(count, 0)
    cells.base[:] = draw(arrays(np.int64, count, elements=st.integers(0, 1 << 30)))
    cells.known[:] = draw(arrays(np.bool_, (count, ring)))
    for name, field in layout.fields.items():
        cells.values[name][:] = draw(arrays(field.stored, (count, ring)))
    for at, slot in zip(*np.nonzero(draw(arrays(np.bool_, (count, ring)))), strict=True):
        cells.start[at, slot] = draw(MOMENT)
        cells.end[at, slot] = cells.start[at, slot] + 1_000 * draw(st.integers(0, (1 << 32) - 1))
    return cells


def assert_same(found: Cells, wanted: Cells) -> None:
    for name in ("base", "known", "start", "end"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
    for name, values in wanted.values.items():
        np.testing.assert_array_equal(found.values[name], values, name)


@given(some_cells())
def test_what_is_packed_is_unpacked(cells):
    """Every field, what is known, and the times of cells observed apart come back as they were."""
    assert_same(SMALL.unpack(SMALL.pack(cells)), cells)


@given(st.integers(0, 1 << 40), st.integers(0, 10**9))
def test_an_interval_is_never_stored_shorter(start, took):
    """Rounded to milliseconds an observation's interval covers the one that it was."""
    cells = SMALL.empty(1, 0)
    cells.start[0, 3], cells.end[0, 3] = start, start + took
    found = SMALL.unpack(SMALL.pack(cells))
    assert found.start[0, 3] == start
    assert start + took <= found.end[0, 3] < start + took + 1_000


def test_a_row_of_a_hotel_room_is_short():
    """Price, stock, open and rules of 60 days fit into 600 bytes."""
    assert len(HOTEL.pack(HOTEL.empty(1, 0))[0]) == HOTEL.size <= 600


@pytest.mark.parametrize("row", [b"", b"\0" * (SMALL.size - 1), b"\0" * (SMALL.size + 1), b"\0" * HOTEL.size])
def test_a_row_of_another_layout_is_refused(row):
    """A row that cannot be of these fields and this axis is an error, not nonsense."""
    with pytest.raises(SchemaMismatch):
        SMALL.unpack([row])


def test_one_cell_an_item():
    """On the axis `one` an item has one cell, at position 0."""
    layout = Layout(one, {"price": money(wide=True), "open": flag()})
    cells = layout.empty(2, 0)
    cells.values["price"][1, 0] = 1 << 40
    cells.known[1, 0] = True
    assert_same(layout.unpack(layout.pack(cells)), cells)


@given(st.integers(0, 1 << 30), st.integers(0, 300))
def test_rolling_forgets_what_is_over_and_nothing_else(base, further):
    """After `roll(first)` cells before `first` are unknown, later ones as they were, and new ones unknown."""
    cells = SMALL.empty(1, base)
    cells.known[:] = True
    cells.start[:], cells.end[:] = 5, 6
    was = set(positions(cells.base, SMALL.ring)[0])
    first = base + further
    cells.roll(first)
    held = positions(cells.base, SMALL.ring)[0]
    assert set(held) == set(range(first, first + SMALL.ring))
    assert set(held[cells.known[0]]) == {position for position in was if position >= first}
    assert ((cells.start[0] == 5) == cells.known[0]).all()


def test_rolling_back_does_nothing():
    """A clock that is behind does not bring back what is over."""
    cells = SMALL.empty(1, 20)
    cells.known[:] = True
    cells.roll(10)
    assert cells.base[0] == 20 and cells.known.all()


def test_check_times_are_kept():
    """Check times of groups come back as they were; of what is over they are forgotten."""
    checks = Checks.empty(2, 64, 100)
    checks.start[1, 7], checks.end[1, 7] = 1_000, 3_000
    found = Checks.unpack(checks.pack(), 64)
    assert (found.start[1, 7], found.end[1, 7], found.base[1]) == (1_000, 3_000, 100)
    assert (found.start[0] == NEVER).all() and (found.end[0] == NEVER).all()
    found.roll(164)
    assert (found.start == NEVER).all()
    with pytest.raises(SchemaMismatch):
        Checks.unpack(checks.pack(), 8)


@given(arrays(np.int64, (3, 8), elements=st.integers(0, 3)), st.booleans())
def test_check_times_are_kept_in_runs(times, is_never):
    """Whatever the times, they come back; the more slots share one, the shorter they are packed."""
    start = np.where((times == 0) & is_never, NEVER, times * 1_000)
    checks = Checks(np.array([5, 6, 7]), start, np.where(start == NEVER, NEVER, start + 2_000))
    rows = checks.pack()
    found = Checks.unpack(rows, 8)
    assert (found.base == checks.base).all()
    assert (found.start == checks.start).all() and (found.end == checks.end).all()
    assert all((len(row) < 20) == (len(set(of_group)) == 1) for row, of_group in zip(rows, start, strict=True))


def test_check_times_that_were_packed_before():
    """Rows with the times of each slot, as they were stored first, are read still, beside others."""
    ring = 64
    kind = np.dtype([("base", "<i4"), ("start", "<i8", (ring,)), ("took", "<u4", (ring,))])
    row = np.zeros(1, dtype=kind)
    row["base"], row["start"], row["took"] = 100, NEVER, 0
    row["start"][0, 7], row["took"][0, 7] = 1_000, 2
    found = Checks.unpack([*Checks.empty(1, ring, 50).pack(), row.tobytes()], ring)
    assert found.base.tolist() == [50, 100]
    assert (found.start[1, 7], found.end[1, 7]) == (1_000, 3_000)
    assert (found.start != NEVER).sum() == 1 and (found.end != NEVER).sum() == 1


@given(arrays(np.bool_, st.tuples(st.integers(0, 4), st.sampled_from([1, 8, 64]))))
def test_bitmaps(cells):
    """A bitmap says which cells are meant."""
    rows = bitmap(cells)
    if rows:
        np.testing.assert_array_equal(from_bitmap(rows, cells.shape[1]), cells)


@given(st.integers(1, 1_023))
def test_a_ring_holds_the_day_of_departure(count):
    """The ring of an axis has a slot for every night and for the day behind the last."""
    axis = days(count)
    assert axis.ring > axis.count
    assert axis.ring & (axis.ring - 1) == 0
