"""Rows of feeds as keys and records: what is read quickly is what is read slowly."""

from __future__ import annotations

import json

import msgspec
import pytest

from tieout.recon.dialects import Column, can_hold, surely_holds
from tieout.recon.facts import is_plain_number
from tieout.recon.feed_texts import without_zeros, written_micros, written_moment
from tieout.recon.periods import iso, utc
from tieout.recon.translating import key_text
from tieout.recon.values import finite, micros, number_text

PARTS = ("1", "-1", "", "a b", 'a"b', "a\\b", "ü", "٣", "x" * 700, "\n", "0x1f", "A1", "é1")
MOMENTS = (
    "2026-11-29 03:32:05.123456+00",
    "2026-11-29 03:32:05+00",
    "1969-12-31 23:59:59.999999+00",
    "1970-01-01 00:00:00+00",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "2026-03-29 02:30:00+05:30",
    "2026-11-29",
    "infinity",
    "-infinity",
    "0044-03-15 00:00:00+00 BC",
    "10000-01-01 00:00:00+00",
    "0000-00-00 00:00:00",
    "1700000000000000",
    "-5",
    "",
)
NUMBERS = ("0", "12.5", "12.50", "100", "100.0", "0.000", "-0.10", "NaN", "1.", "-7", ".50", "", "1e5", "٣", "9" * 101)


@pytest.mark.parametrize("part", PARTS)
def test_a_key_is_kept_as_json(part):
    """A key of one column reads as the JSON array that it is, whatever it holds."""
    assert json.loads(key_text((part,), 0)) == [part]
    assert key_text((part,), 1) == json.dumps([part], ensure_ascii=False, separators=(",", ":"))


def test_a_key_that_is_null_keeps_its_side():
    """A key without a value has no partner on the other side, and is none of the other side's keys."""
    assert key_text((None,), 0) == '[null,"upstream"]'
    assert key_text((None,), 1) == '[null,"downstream"]'


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_the_same_with_and_without_a_text_between(text):
    """A business time that a feed tells is the one that a query is answered."""
    assert written_micros(text) == micros(written_moment(text))


def test_moments_are_whole_microseconds():
    """The last microsecond before 1970, the first after it, and one far on: none is rounded."""
    known = {"1969-12-31 23:59:59.999999+00": -1, "1970-01-01 00:00:00.000001": 1}
    known["9999-12-31 23:59:59.999999"] = 253_402_300_799_999_999
    assert {text: written_micros(text) for text in known} == known


@pytest.mark.parametrize("text", NUMBERS)
def test_zeros_at_the_end_say_nothing(text):
    """A decimal loses the zeros behind its point, and only those."""
    assert without_zeros(text) == (text.rstrip("0").rstrip(".") if "." in text else text)
    if finite(text) is not None and "e" not in text and not text.startswith((".", "-0")):
        assert without_zeros(text) == number_text(text)


@pytest.mark.parametrize("text", NUMBERS)
def test_a_plain_number_is_a_finite_one(text):
    """What is taken for a number at a glance is one for the judge too."""
    assert not is_plain_number(text) or finite(text) is not None


@pytest.mark.parametrize(
    "parts", [["1", "2"], ["1", ""], ["1", "x"], ["1", "٣"], ["1", "9" * 19], ["-1"], ["9" * 18, "0"]]
)
def test_what_surely_fits_is_found_to_fit_one_by_one(parts) -> None:
    """Keys that are looked at together are none that could not be asked for."""
    column = Column("id", "bigint", "integer")
    assert not surely_holds(column, parts) or all(can_hold(column, part) for part in parts)
    assert not surely_holds(column._replace(kind="text"), parts)


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_digits_of_other_scripts_are_never_asked_for(kind) -> None:
    """A database does not read them as a number, and would refuse the whole question."""
    column = Column("id", "bigint" if kind == "integer" else "numeric", kind)
    assert not can_hold(column, "٣")
    assert not surely_holds(column, ["1", "٣"])


def test_many_short_whole_numbers_surely_fit() -> None:
    """The usual keys are looked at together."""
    assert surely_holds(Column("id", "bigint", "integer"), ["1", "20", "9" * 18])


@pytest.mark.parametrize(
    "at", [0, -1, 1, 1_795_305_600_000_000, 1_795_305_600_124_456, -62_135_596_800_000_000, 1 << 62]
)
def test_json_has_a_moment_as_it_is_written(at) -> None:
    """What is kept as a moment until it is written down reads as ISO 8601, where no calendar reaches too."""
    assert msgspec.json.decode(msgspec.json.encode(utc(at))) == iso(at) == msgspec.to_builtins(utc(at))
