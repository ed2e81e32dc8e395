"""Where a step's move puts a process."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest

import tieout
from tests.unit.kinds import Order, Prize
from tests.unit.makings import NOW, claim, entry, record
from tieout.errors import InvalidParams
from tieout.process.landing import first_calls, land, moved_on, with_entry
from tieout.process.outcomes import Succeeded
from tieout.process.process import type_of

ORDER = type_of(Order)
REQUEST = Order(request_id="r1", user="ann")


def test_a_move_to_a_call_stores_its_arguments():
    """The process runs, is due once whoever opened the call has had time for it, and waits in the call's lane."""
    landing = land(ORDER, REQUEST.reserve.next(sku="mug", quantity=2))
    assert (landing.state, landing.status, landing.lane) == ("reserve", "running", "stock")
    assert landing.due_in == ORDER.calls["reserve"].rules.first_due
    ((step, args),) = landing.calls
    assert (step, msgspec.json.decode(args)) == ("reserve", {"sku": "mug", "quantity": 2})


def test_a_move_to_a_final_stores_its_result():
    """A final process is never due, waits in no lane, and has its result as JSON."""
    landing = land(ORDER, REQUEST.completed(Prize("A1", Decimal("2.50"))))
    assert (landing.state, landing.status) == ("completed", "final")
    assert (landing.lane, landing.due_in, landing.calls) == (None, None, ())
    assert msgspec.json.decode(landing.result) == {"code": "A1", "worth": "2.50"}


@pytest.mark.parametrize(
    "moved",
    [
        tieout.Next("pay", {"amount": "much"}),
        tieout.Next("pay", {}),
        tieout.Next("pay", {"amount": Decimal(1), "tip": 1}),
        tieout.Next("reserve", {"sku": "\ud800", "quantity": 1}),
        tieout.Next("reserve", {"sku": "mug", "quantity": math.inf}),
        tieout.Next("completed", {}, {"worth": "1"}),
        tieout.Next("completed", {}, None),
        tieout.Next("refused", {}, 5),
    ],
)
def test_what_does_not_fit_is_refused(moved):
    """Arguments and results are checked before they are stored."""
    with pytest.raises(InvalidParams):
        land(ORDER, moved)


def test_the_first_call_has_number_one():
    """A process that starts with a call has one open entry; one that starts with a final has none."""
    (first,) = first_calls(land(ORDER, REQUEST.reserve.next(sku="mug", quantity=1)))
    assert (first.n, first.step, first.closed, first.final) == (1, "reserve", False, None)
    assert first_calls(land(ORDER, REQUEST.refused("no"))) == []


def test_moving_on_opens_the_next_call():
    """The closed call keeps its claim; the next has the next number, and its own time."""
    closed = entry(final=claim(Succeeded({"code": "A"})), closed=True)
    row = record(note="unknown", attempts=3, errors=2, entries=[closed])
    landing = land(ORDER, REQUEST.pay.next(amount=Decimal(1)))
    after = moved_on(row, landing, NOW + 5, "push", "message", 1, "ann")
    assert [(call.n, call.step, call.closed, call.opened) for call in after.calls] == [
        (1, "issue", True, 0),
        (2, "pay", False, NOW + 5),
    ]
    assert (after.state, after.lane, after.attempts, after.errors, after.note) == ("pay", "order.pay", 0, 0, None)


def test_every_move_is_on_the_trail():
    """The trail tells who moved the process when, by which way, and from which call."""
    row = record(entries=[entry(closed=True)])
    after = moved_on(row, land(ORDER, REQUEST.refused("no")), NOW + 5, "sweep", "query", 1, "ann")
    (move,) = after.trail
    assert (move.to, move.at, move.source, move.by, move.n, move.actor) == (
        "refused",
        NOW + 5,
        "sweep",
        "query",
        1,
        "ann",
    )


def test_moving_on_leaves_the_row_that_was_read():
    """A transaction that is run again begins with the row as it was read."""
    row = record()
    before = msgspec.json.encode(row)
    moved_on(row, land(ORDER, REQUEST.pay.next(amount=Decimal(1))), NOW, "sweep", "query", 1)
    with_entry(row, entry(sent=5), note="sent")
    assert msgspec.json.encode(row) == before


def test_one_call_is_replaced():
    """Other calls of the row stay what they are."""
    row = record(entries=[entry(1, closed=True), entry(2)])
    after = with_entry(row, entry(2, sent=5), note="sent")
    assert [call.sent for call in after.calls] == [None, 5]
    assert after.note == "sent"
