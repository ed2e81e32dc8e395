"""Strict and canonical JSON."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import InvalidJson, InvalidParams
from tieout.identity import (
    JSON_DEPTH,
    JSON_DIGITS,
    canonical_json,
    digest,
    encode_json,
    one_spelling,
    parse_json,
    storable_text,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
EDGY = st.text('aZ09 /<"\\\x7f\n\0\u00e9\u4e2d', max_size=4)
"""Mostly of what JSON may spell in two ways."""

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def nested(depth):
    """A list in a list, so many deep."""
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@given(PLAIN)
def test_what_is_stored_is_read_back(value):
    """Plain values survive being stored and read by the strict reader."""
    assert parse_json(encode_json(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [1.0, math.nan], {"a": {"b": math.inf}}])
def test_numbers_that_are_none_are_not_stored(value):
    """NaN and infinity are refused, wherever they stand."""
    with pytest.raises(InvalidParams):
        encode_json(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, object(), {1, 2}.__iter__, nested(JSON_DEPTH + 1)])
def test_what_json_cannot_hold_is_not_stored(value):
    """Broken Unicode, objects and what nests too deep are refused."""
    with pytest.raises(InvalidParams):
        encode_json(value)


def test_what_is_nested_without_end_is_not_stored():
    """A value that contains itself is refused; the interpreter's stack does not run over."""
    value = []
    value.append(value)
    with pytest.raises(InvalidParams):
        encode_json(value)


def test_the_deepest_nesting_is_both_stored_and_read():
    """What may be written may be read."""
    assert parse_json(encode_json(nested(JSON_DEPTH))) == nested(JSON_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "FAILED", "status": "SUCCEEDED"}',
        '{"a": {"b": 1, "b": 1}}',
        "NaN",
        '{"amount": Infinity}',
        "-Infinity",
        "1e999",
        "[" * 100_000,
        "[" * (JSON_DEPTH + 1) + "]" * (JSON_DEPTH + 1),
        "9" * (JSON_DIGITS + 1),
        "9" * 5_000,
        "",
        "{",
        "<html>",
        "{} {}",
        b"\xff\xfe",
        b"\xff",
        b'"\xed\xa0\x80"',
        '"\\ud800"',
        '{"\\uDFFF": 1}',
    ],
)
def test_the_strict_reader_refuses(text):
    """Duplicate keys, NaN, infinity, deep nesting, huge integers, broken Unicode, no JSON at all: `InvalidJson`."""
    with pytest.raises(InvalidJson):
        parse_json(text)


@given(st.text(max_size=30) | st.binary(max_size=30))
def test_the_strict_reader_raises_nothing_else(text):
    """Whatever comes, the reader returns a value or raises `InvalidJson`."""
    try:
        parse_json(text)
    except InvalidJson:
        return


@given(st.dictionaries(TEXT, PLAIN, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(value, chance):
    """Equal objects have one canonical spelling, whatever the order of their keys."""
    pairs = list(value.items())
    chance.shuffle(pairs)
    assert canonical_json(dict(pairs)) == canonical_json(value)


@given(st.dictionaries(EDGY, st.none() | st.booleans() | st.integers() | EDGY, max_size=4))
def test_flat_objects_are_spelled_as_any_other(value):
    """The fast way for most params has the spelling of the general one: stored fingerprints hold."""
    assert canonical_json(value) == json.dumps(value, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("one", "other"), [(1.0, 1), (-0.0, 0), (1e20, 10**20), ([2.0], [2]), ({"a": 3.0}, {"a": 3}), ((1, 2), [1, 2])]
)
def test_equal_numbers_have_one_digest(one, other):
    """1.0 and 1 are one value."""
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, "1"), (None, "null"), ([], {}), (0.1, 0.2), ("a", "A"), ("a", "a "), (True, 1), ("\u00e9", "e\u0301")],
)
def test_different_values_have_different_digests(one, other):
    """A number is not its text, and text is compared as it stands."""
    assert digest(one) != digest(other)


@given(PLAIN, PLAIN)
def test_digests_are_equal_when_values_are(one, other):
    """A digest stands for the value as JSON knows it."""
    assert (digest(one) == digest(other)) == (canonical_json(one) == canonical_json(other))


def test_structs_and_their_plain_values_have_one_digest():
    """A typed value and the same value as plain JSON agree."""
    point = msgspec.defstruct("Point", [("x", int), ("y", Decimal)])
    assert digest(point(1, Decimal("2.50"))) == digest({"y": "2.50", "x": 1})


@given(st.text(st.characters(), max_size=40), st.integers(0, 40))
def test_text_becomes_storable(text, length):
    """Any text can be stored once NUL and broken Unicode are replaced; it is cut, and never raises."""
    stored = storable_text(text, length)
    assert len(stored) == min(len(text), length)
    assert "\0" not in stored
    json.dumps(stored, ensure_ascii=False).encode()


def test_good_text_is_stored_as_it_is():
    """Text that a database can hold is not changed."""
    assert storable_text("naïve ✓ \n", 100) == "naïve ✓ \n"


@given(st.decimals(allow_nan=False), st.integers(0, 40))
def test_equal_decimals_have_one_spelling(number, zeros):
    """Zeros at the end and exponents are spelling."""
    longer = f"{number:f}" if number.is_finite() else str(number)
    if zeros and number.is_finite():
        longer += ("" if "." in longer else ".") + "0" * zeros
    assert one_spelling(longer, "decimal") == one_spelling(str(number), "decimal")


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_different_decimals_have_different_spellings(one, other):
    """However long they are: no digit is rounded away."""
    assert (one_spelling(str(one), "decimal") == one_spelling(str(other), "decimal")) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1" * 40, "1" * 39 + "2", False),
        ("0.00", "-0", True),
        ("1E+6000000", "1.0E+6000000", True),
        ("NaN", "1", False),
        ("not a number", "not a number", True),
        ("not a number", "another", False),
    ],
)
def test_odd_decimals_are_compared_too(one, other, equal):
    """Long, huge and broken ones, without an error and without writing out six million digits."""
    assert (one_spelling(one, "decimal") == one_spelling(other, "decimal")) == equal
    assert len(str(one_spelling(one, "decimal"))) < 100


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("2026-01-02T12:00:00Z", "2026-01-02T20:00:00+08:00", True),
        ("2026-01-02T12:00:00.000000Z", "2026-01-02T12:00:00Z", True),
        ("2026-01-02T12:00:00Z", "2026-01-02T12:00:01Z", False),
        ("2026-01-02T12:00:00Z", "2026-01-02T12:00:00", False),
        ("0001-01-01T00:00:00+08:00", "0001-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59-08:00", "9999-12-31T23:59:59Z", False),
    ],
)
def test_equal_moments_have_one_spelling(one, other, equal):
    """A moment is the same in every zone; without a zone it is another thing."""
    assert (one_spelling(one, "moment") == one_spelling(other, "moment")) == equal


@pytest.mark.parametrize("value", ["1.0", 1.0, None, ["1.0"]])
def test_other_values_keep_their_spelling(value):
    """Only what is known to be a Decimal or a moment is rewritten."""
    assert one_spelling(value, None) == value
    if not isinstance(value, str):
        assert one_spelling(value, "decimal") == value
