"""The gate's decisions, on every pair of reports and every standing of a process."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.makings import RULES, claim, entry, record
from tieout.process.outcomes import Failed, NotFound, NotSentYet, Pending, Succeeded, Unknown
from tieout.process.rules import Advance, Conflict, Duplicate, Ignore, Keep, Stray, Wait, differing, verdict

A = Succeeded({"code": "A", "sku": "mug"})
B = Succeeded({"code": "B", "sku": "mug"})
NO = Failed("sold-out")
NOT_FINAL = [Pending(), Pending(5), Unknown("?"), NotFound(), NotSentYet("refused")]


def judge(row, outcome, rules=RULES, n=1):
    return verdict(row, n, outcome, "push", "message", rules, 1_000)


def test_the_first_final_advances():
    """A final claim for an open call of a running process moves it, with the claim that was made."""
    match judge(record(), A):
        case Advance(judged, made):
            assert judged.n == 1
            assert (made.kind, made.source, made.by, made.at, made.value) == (
                "succeeded",
                "push",
                "message",
                1_000,
                A.value,
            )
        case other:
            pytest.fail(repr(other))


def test_a_failure_advances_too():
    """Failed is as final as Succeeded, and keeps its code and detail."""
    match judge(record(), Failed("sold-out", "none left")):
        case Advance(_, made):
            assert (made.kind, made.code, made.detail) == ("failed", "sold-out", "none left")
        case other:
            pytest.fail(repr(other))


def test_a_held_process_keeps_the_claim():
    """A held process runs nothing: its first final claim is kept for when it resumes."""
    assert isinstance(judge(record(status="held"), A), Keep)


@pytest.mark.parametrize("status", ["running", "held", "final", "retired"])
@pytest.mark.parametrize("first", [A, NO])
def test_the_same_final_again_is_a_duplicate(status, first):
    """The same final is counted, however late it comes."""
    row = record(status=status, entries=[entry(final=claim(first), closed=status in ("final", "retired"))])
    assert isinstance(judge(row, first), Duplicate)


@pytest.mark.parametrize("status", ["running", "held", "final", "retired"])
@pytest.mark.parametrize(("first", "second", "fields"), [(A, B, ("code",)), (A, NO, ("kind",)), (NO, A, ("kind",))])
def test_another_final_is_a_conflict(status, first, second, fields):
    """A final that differs from the first is a conflict, which names what differs, however late it comes."""
    row = record(status=status, entries=[entry(final=claim(first), closed=status in ("final", "retired"))])
    match judge(row, second):
        case Conflict(_, made, told):
            assert told == fields
            assert made.kind == ("failed" if isinstance(second, Failed) else "succeeded")
        case other:
            pytest.fail(repr(other))


def test_failures_agree_whatever_their_codes():
    """Failed is compared by kind: the downstream did nothing, for whatever reason."""
    assert differing(claim(Failed("sold-out")), claim(Failed("too-late", "x"))) == ()


def test_only_identity_fields_are_compared():
    """Two successes that differ in other fields agree."""
    assert differing(claim(A), claim(Succeeded({"code": "A", "sku": "cup"}))) == ()


@pytest.mark.parametrize("value", [{}, {"sku": "mug"}, None, "A", ["A"]])
def test_an_identity_field_that_one_side_lacks_is_not_compared(value):
    """An identity field has to be present in both to contradict."""
    assert differing(claim(A), claim(Succeeded(value))) == ()
    assert differing(claim(Succeeded(value)), claim(A)) == ()


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}), ([1], [1.0])])
def test_another_spelling_is_the_same_value(one, other):
    """Values are compared, and not the JSON that they came in."""
    assert differing(claim(Succeeded({"code": one})), claim(Succeeded({"code": other}))) == ()


@given(st.permutations([{"code": "A", "no": 1}, {"code": "B", "no": 1}, {"code": "A", "no": 2}]))
def test_differing_is_symmetric(values):
    """Whoever comes first, the same fields differ."""
    first, second, _ = (
        claim(Succeeded(value), msgspec.structs.replace(RULES, identity=("code", "no"))) for value in values
    )
    assert differing(first, second) == differing(second, first) != ()


def test_an_echo_must_equal_the_argument():
    """A success whose echo differs from what was sent is a conflict, and not a success."""
    match judge(record(), Succeeded({"code": "A", "sku": "cup"})):
        case Conflict(_, made, fields):
            assert (fields, made.mismatch) == (("sku",), ("sku",))
        case other:
            pytest.fail(repr(other))


def test_an_echo_that_is_not_there_is_not_compared():
    """An answer need not repeat what was sent."""
    assert isinstance(judge(record(), Succeeded({"code": "A"})), Advance)


def test_a_broken_echo_is_a_conflict_even_when_it_repeats_the_first_claim():
    """Whatever was claimed before, an answer about something else is no duplicate."""
    row = record(status="final", entries=[entry(final=claim(A), closed=True)])
    assert isinstance(judge(row, Succeeded({"code": "A", "sku": "cup"})), Conflict)


@pytest.mark.parametrize("outcome", NOT_FINAL)
def test_what_is_not_final_waits(outcome):
    """Pending, unknown and not found never move a process."""
    assert isinstance(judge(record(), outcome), Wait)


@pytest.mark.parametrize("outcome", NOT_FINAL)
@pytest.mark.parametrize(
    "row",
    [
        record(status="held"),
        record(entries=[entry(final=claim(A))]),
        record(status="final", entries=[entry(final=claim(A), closed=True)]),
    ],
)
def test_what_is_not_final_and_late_is_ignored(outcome, row):
    """Nothing that is not final changes a call that has its final, or a held process."""
    assert isinstance(judge(row, outcome), Ignore)


@pytest.mark.parametrize("n", [-1, 0, 2, 999])
def test_a_call_that_is_not_there_is_a_stray(n):
    """A report of a call that the process never opened moves nothing, whatever it says."""
    assert isinstance(judge(record(), A, n=n), Stray)


def test_a_closed_call_cannot_move_the_process_again():
    """A report about an earlier call is judged against that call's final, while a later one is open."""
    row = record(entries=[entry(final=claim(A), closed=True), entry(n=2)])
    assert isinstance(judge(row, A, n=1), Duplicate)
    assert isinstance(judge(row, B, n=1), Conflict)
    assert isinstance(judge(row, B, n=2), Advance)


def test_without_the_code_of_the_call_kinds_are_compared():
    """When the code no longer has the step, its rules are gone; a success against a failure still is a conflict."""
    row = record(entries=[entry(final=claim(A), closed=True)], status="final")
    assert isinstance(judge(row, B, rules=None), Duplicate)
    assert isinstance(judge(row, NO, rules=None), Conflict)
    assert isinstance(judge(record(), Pending(), rules=None), Ignore)
