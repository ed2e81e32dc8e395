"""A sound process type, compiled: its params, identity, calls and limits."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import tieout
from tests.unit.kinds import Address, Order, Prize, Size
from tests.unit.makings import SECOND
from tieout.errors import InvalidKey, InvalidParams, ReturnedWrongStep
from tieout.identity import encode_json, process_id
from tieout.process.codec import Codec
from tieout.process.process import type_of

NOON = dt.datetime(2026, 1, 2, 12, 30, 0, 123456, tzinfo=dt.UTC)
ORDER = type_of(Order)


def order(**params):
    return Order(**({"request_id": "r1", "user": "ann"} | params))


def test_the_class_says_what_it_is():
    """Name, version, deadline, key and owner are those of the class's arguments."""
    assert (ORDER.name, ORDER.version, ORDER.deadline) == ("order", 3, 7_200 * SECOND)
    assert (ORDER.key_field, ORDER.owner_field, ORDER.volatile) == ("request_id", "user", {"channel"})
    assert (set(ORDER.calls), set(ORDER.finals), set(ORDER.snapshots)) == (
        {"reserve", "pay"},
        {"completed", "refused"},
        {"price"},
    )


def test_a_type_is_compiled_once():
    """The compiled form belongs to the class."""
    assert type_of(Order) is ORDER


def test_a_class_variable_is_no_param():
    """What is annotated as ClassVar is the class's own."""
    assert "LIMIT" not in ORDER.params.kind.__struct_fields__


def test_the_limits_of_a_call_are_those_written():
    """Durations become microseconds; what is not written has its default."""
    written, default = ORDER.calls["reserve"].rules, ORDER.calls["pay"].rules
    assert (written.timeout, written.query_after, written.settle) == (2 * SECOND, 5 * SECOND, 30 * SECOND)
    assert (written.key_valid, written.identity, written.has_query) == (86_400 * SECOND, ("code",), True)
    assert (default.settle, default.key_valid, default.retry_cap) == (11 * SECOND, None, 300 * SECOND)
    assert (default.idempotent, default.has_query) == (False, False)
    assert (ORDER.calls["reserve"].lane, ORDER.calls["pay"].lane) == ("stock", "order.pay")


def test_defaults_are_filled_in():
    """A request holds every param, and each is what the class says unless it was given."""
    request = order(size=Size.LARGE)
    assert (request.amount, request.size, request.tags, request.channel) == (Decimal("1.50"), Size.LARGE, [], "web")


def test_requests_do_not_share_their_defaults():
    """A list that one request changes is not another's."""
    order().tags.append("x")
    assert order().tags == []


def test_an_instance_is_identified_by_type_owner_and_key():
    """The id is known before anything is stored."""
    assert order().id == process_id("order", b"ann", b"r1").hex()


@pytest.mark.parametrize(
    "params",
    [
        {"amount": Decimal("0.1"), "ratio": 1},
        {"at": NOON, "size": Size.LARGE},
        {"at": NOON.astimezone(dt.timezone(dt.timedelta(hours=8)))},
        {"address": Address("Köln", [1, 2, 3]), "tags": ["a", "\0", "é"]},
        {"amount": Decimal("123456789012345678901234567890.123456789")},
    ],
)
def test_params_survive_being_stored(params):
    """Decimals, times, enumerations and nested structs are read back as they were given, precise to the last digit."""
    request = order(**params)
    read = ORDER.read_params(encode_json(ORDER.stored_params(request.__dict__)))
    assert read == {name: value for name, value in vars(request).items() if name in read}
    assert set(read) == set(ORDER.params.kind.__struct_fields__) - {"channel"}


def test_volatile_params_are_not_stored():
    """Nothing of a volatile param reaches the row."""
    assert "secret" not in encode_json(ORDER.stored_params(order(channel="secret").__dict__))


def test_a_param_that_was_never_stored_is_left_out():
    """A row older than a param does not get a value that it never had."""
    assert ORDER.read_params('{"request_id":"r1","user":"ann"}') == {"request_id": "r1", "user": "ann"}


def test_a_param_that_the_code_no_longer_has_is_passed_over():
    """A row older than the removal of a param can still be read."""
    assert "gone" not in ORDER.read_params('{"request_id":"r1","user":"ann","gone":[1]}')


@pytest.mark.parametrize(
    "params",
    [
        {"amount": "many"},
        {"amount": 1.5j},
        {"ratio": "0.5"},
        {"size": "xl"},
        {"address": {"floors": []}},
        {"address": {"city": 5}},
        {"tags": "ab"},
        {"tags": [1]},
        {"at": "yesterday"},
        {"unheard_of": 1},
        {"user": None},
        {"user": 5},
        {"amount": Decimal("NaN")},
        {"amount": "-Infinity"},
    ],
)
def test_params_that_do_not_fit_are_refused(params):
    """Wrong types, unknown names and broken values raise `InvalidParams` before anything happens."""
    with pytest.raises(InvalidParams, match="params of order"):
        order(**params)


def test_a_missing_param_is_refused():
    """What has no default has to be given, and the message names it."""
    with pytest.raises(InvalidParams, match="user"):
        Order(request_id="r1")


@pytest.mark.parametrize("params", [{"request_id": ""}, {"user": ""}, {"request_id": "k" * 256}, {"user": "\ud800"}])
def test_keys_and_owners_have_to_be_keys(params):
    """Key and owner are 1 to 255 bytes of UTF-8."""
    with pytest.raises(InvalidKey):
        order(**params)


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800"])
def test_an_answer_that_cannot_be_stored_does_not_fit(value):
    """An answer is checked for what JSON cannot hold before it is believed."""
    kind = msgspec.defstruct("Anything", [("value", Any)])
    codec = Codec(kind, "answer")
    with pytest.raises(InvalidParams, match="cannot be stored"):
        codec.storable(kind(value))


def test_the_arguments_of_a_call_survive_being_stored():
    """A handler is given typed arguments on every try."""
    call = ORDER.calls["pay"]
    stored = msgspec.Raw(call.args.encode({"amount": Decimal("2.50")}).encode())
    assert call.arguments(stored) == {"amount": Decimal("2.50")}
    assert str(call.arguments(stored)["amount"]) == "2.50"


@pytest.mark.parametrize("args", [{}, {"amount": "x"}, {"amount": None}, {"amount": Decimal("NaN")}])
def test_arguments_that_do_not_fit_are_refused(args):
    """Missing and wrong arguments raise `InvalidParams`."""
    with pytest.raises(InvalidParams, match="arguments of order"):
        ORDER.calls["pay"].args.encode(args)


def test_arguments_are_given_by_keyword():
    """`next` takes names, so that what is stored says what it is."""
    with pytest.raises(InvalidParams, match="keyword"):
        order().reserve.next("mug", 1)


@pytest.mark.parametrize("moved", [None, "refused", tieout.Next("completed"), tieout.Next("nowhere")])
def test_a_step_moves_where_it_says(moved):
    """A step that returns no move, or one that its `to=` does not name, raises `ReturnedWrongStep`."""
    with pytest.raises(ReturnedWrongStep, match="begin moved to"):
        ORDER.check_next(ORDER.start, moved)


def test_a_step_may_move_to_any_state_that_it_names():
    """Each of `to=` is allowed."""
    for state in ("reserve", "refused"):
        assert ORDER.check_next(ORDER.start, tieout.Next(state)).state == state


def test_a_final_is_called_with_its_result():
    """A final ends the process, with a result of its type."""
    assert Order.completed(Prize("A")) == tieout.Next("completed", {}, Prize("A"))
