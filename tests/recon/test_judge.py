"""The judge: pure, and the same wherever rows come from."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.recon import Field, Judged, Record, judge

SKU = Field("sku", "sku")
COST = Field("cost", "value", "number")
RULE = Judged((SKU, COST), grace=30_000_000)


def rows(*values, at=0):
    return [Record(at, tuple(value)) for value in values]


@pytest.mark.parametrize(
    ("upstream", "downstream", "outcome"),
    [
        ([("a", "1")], [("a", "1.00")], "tied"),
        ([("a", "1")], [], "missing"),
        ([], [("a", "1")], "orphan"),
        ([("a", "1")], [("b", "1")], "differs"),
        ([("a", "1")], [("a", "1.001")], "differs"),
        ([("a", "1")], [("a", "1"), ("a", "1")], "duplicate"),
        ([("a", "1"), ("a", "1")], [], "duplicate"),
        ([], [("a", "1"), ("a", "1")], "duplicate"),
        ([(None, "1")], [(None, "1")], "tied"),
        ([("", "1")], [(None, "1")], "differs"),
        ([("a", "NaN")], [("a", "NaN")], "differs"),
        ([("a", "Infinity")], [("a", "Infinity")], "differs"),
        ([], [], "withdrawn"),
    ],
)
def test_outcomes(upstream, downstream, outcome) -> None:
    """Duplicates come before all else; what is no number agrees with nothing; NULL agrees with NULL alone."""
    assert judge(RULE, rows(*upstream), rows(*downstream)).outcome == outcome


def test_every_field_that_differs_is_told() -> None:
    """A break says of each field what both sides hold, and why that is not the same."""
    verdict = judge(RULE, rows(("a", "1")), rows(("b", None)))
    assert [(one.field, one.upstream, one.downstream, one.why) for one in verdict.differences] == [
        ("sku", "a", "b", "differs"),
        ("cost/value", "1", None, "is not there"),
    ]


def test_what_comes_after_the_grace_is_late() -> None:
    """A pair that is further apart than the grace is late-tied, which is no break; at the grace it is not late."""
    at_grace = judge(RULE, rows(("a", "1")), rows(("a", "1"), at=30_000_000))
    late = judge(RULE, rows(("a", "1")), rows(("a", "1"), at=30_000_001))
    assert (at_grace.outcome, late.outcome, late.late, late.is_break) == ("tied", "late-tied", 30_000_001, False)


def test_a_tolerance_is_inclusive_and_exact() -> None:
    """Numbers as far apart as the tolerance agree, however many digits they have; a digit more and they do not."""
    rule = Judged((Field("cost", "value", "number", Decimal("0.01")),))
    huge = "9" * 60
    assert judge(rule, rows((huge + ".01",)), rows((huge + ".02",))).outcome == "tied"
    assert judge(rule, rows((huge + ".01",)), rows((huge + ".0200000001",))).outcome == "differs"


def test_a_value_without_a_mapping_is_a_difference() -> None:
    """A state that the mapping does not know is never taken for another one, nor for itself."""
    rule = Judged((Field("state", "status", mapping={"done": "S"}),))
    assert judge(rule, rows(("done",)), rows(("S",))).outcome == "tied"
    assert judge(rule, rows(("done",)), rows(("done",))).outcome == "differs"
    assert judge(rule, rows(("odd",)), rows(("odd",))).differences[0].why == "has no mapping"


def test_one_part_is_told_as_a_sum_is() -> None:
    """What is added up is told as a number, however many parts there are; a part that is not there is no number."""
    rule = Judged((Field("amount", "amount", "number", Decimal(0), summed=True),), frozenset({"downstream"}))
    assert judge(rule, rows(("1.0",)), rows(("2.00",))).differences[0][1:3] == ("1", "2")
    assert judge(rule, rows((None,)), rows((None,))).differences[0].why == "is not there"


def test_parts_are_added_up_to_the_last_digit() -> None:
    """Ten times 0.1 is 1; a part that is no number cannot be added up; other fields have to agree with every part."""
    rule = Judged((Field("amount", "amount", "number", Decimal(0), summed=True), SKU), frozenset({"downstream"}))
    whole = rows(("1", "a"))
    assert judge(rule, whole, rows(*[("0.1", "a")] * 10)).outcome == "tied"
    assert judge(rule, whole, rows(*[("0.1", "a")] * 9)).outcome == "differs"
    assert judge(rule, whole, rows(("1", "a"), (None, "a"))).outcome == "differs"
    assert judge(rule, whole, rows(("0.5", "a"), ("0.5", "b"))).outcome == "differs"


def test_the_side_with_single_rows_is_the_anchor() -> None:
    """A pair belongs to the period of the side that has one row; of two such, to upstream's."""
    sides = [frozenset(), frozenset({"upstream"}), frozenset({"downstream"})]
    assert [Judged((), many).anchor for many in sides] == ["upstream", "downstream", "upstream"]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_a_number_agrees_with_itself_in_any_spelling(number: Decimal) -> None:
    """Trailing zeros, exponents and signs of zero do not make two numbers differ; the least digit does."""
    rule = Judged((Field("n", "n", "number"),))
    least = Decimal((0, (1,), number.as_tuple().exponent))
    spelled = [f"{number:f}", f"{number:E}", f"{number:f}" + ("0" if "." in f"{number:f}" else ".0")]
    assert {judge(rule, rows((spelled[0],)), rows((other,))).outcome for other in spelled} == {"tied"}
    assert judge(rule, rows((spelled[0],)), rows((str(number + least) if number + least != number else "x",))).is_break
