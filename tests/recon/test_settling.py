"""Many keys settled at a time: to the last byte what the judge and the evidence of each single key are."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieout.identity import fingerprint, fingerprints
from tieout.recon import Field, Ignored, Judged, Period, Record, judge
from tieout.recon.columns import Columns, columns_of, joined
from tieout.recon.evidence import anchored, told_break
from tieout.recon.periods import utc
from tieout.recon.settling import AGAIN, Settling
from tieout.recon.store import written
from tieout.recon.values import all_micros, micros
from tieout.recon.writing import json_texts, moments

PERIOD = Period(100, 200)
IGNORED = (Ignored(Period(150, 160), "a release"),)
ODD = ['"', "\\", "\n", "\x00", "\x7f", "ü", "\u2028", "%", "%s", "%%", "?0?", "??1??", ",", "null", "", "x" * 1_001]
NUMBERS = ["1", "1.0", "1.01", "-0", "NaN", "Infinity", "9" * 40, "x", None]
FIELDS = [
    (Field("note", "note"), [*ODD, None]),
    (Field("state", "st%te", mapping={"done": "S", "%": "?0?"}), ["done", "S", "%", "?0?", None]),
    (Field("cost", 'v"l?e'), ["a", "b"]),
    (Field("?0?", "?1?"), ["a", "b"]),
    (Field("paid", "paid", "number"), NUMBERS),
    (Field("paid", "paid", "number", Decimal("0.01")), NUMBERS),
    (Field("sum", "sum", "number", Decimal(0), summed=True), NUMBERS),
    (Field("seen", "??", "moment", Decimal(5)), ["5", "7", "11", "-62135596800000001", "infinity", None]),
]
"""Fields by what they may hold; two have the same columns, as a rule may have it."""
TIMES = st.sampled_from([150, 150, 151, 155, 99, 100, 199, 200, -(10**18), 1_000_000, None])
KEYS = [("a", "b"), ("a", '"'), ("", "\\"), ("%s", "?0?"), ("1", "2"), ("ü", "\x00"), ("[", "]")]


class Given:
    """A rule, as far as settling asks for it."""

    name = 'pay"ments'

    def __init__(self, ignores: tuple[Ignored, ...]) -> None:
        self.ignores = ignores


@st.composite
def cases(draw):
    """What is judged, and both sides' rows of some keys: none, one or more on each, most often the same."""
    chosen = draw(st.lists(st.sampled_from(range(len(FIELDS))), max_size=4, unique=True))
    fields = [FIELDS[number][0] for number in chosen]
    many = draw(st.sampled_from([frozenset(), frozenset({"upstream"}), frozenset({"downstream"})]))
    judged = Judged(tuple(fields), many, draw(st.sampled_from([None, 3])))
    time = TIMES if draw(st.booleans()) else st.just(170)
    held = [FIELDS[number][1] for number in chosen]
    values = [st.sampled_from(one if draw(st.booleans()) else one[:1]) for one in held]
    sides = []
    for _ in range(2):
        rows = []
        for key in KEYS:
            times = range(draw(st.sampled_from([1, 1, 1, 0, 0, 2, 25])))
            rows += [(key, draw(time), tuple(map(draw, values))) for _ in times]
        sides.append(draw(st.permutations(rows)))
    causes = {key: ["downstream has it, with state = 'x'"] for key in draw(st.lists(st.sampled_from(KEYS), max_size=2))}
    return judged, Given(draw(st.sampled_from([(), IGNORED]))), sides, causes


def columns(rows, fields: int) -> Columns:
    values = list(zip(*(row[2] for row in rows), strict=True)) if rows else [()] * fields
    return Columns([row[0] for row in rows], [row[1] for row in rows], values)


def one_by_one(judged, rule, sides, causes):
    """The same keys, each by itself."""
    tally, breaks = Counter(), []
    for key in KEYS:
        ours, theirs = ([Record(at, values) for one, at, values in rows if one == key] for rows in sides)
        verdict = judge(judged, ours, theirs)
        times = anchored(judged, ours, theirs)
        name = AGAIN if verdict.outcome == "tied" else verdict.outcome
        if verdict.is_break and any(at in one.period for one in rule.ignores for at in times):
            name = "ignored"
        if verdict.outcome not in {"duplicate", "withdrawn"} and times and not any(at in PERIOD for at in times):
            name = "carried"
        tally[name] += 1
        if verdict.is_break and name == verdict.outcome:
            why = causes.get(key, ()) if verdict.outcome in {"missing", "orphan"} else ()
            breaks.append(written(rule.name, told_break(judged, key, verdict, ours, theirs, why, PERIOD)))
    return tally, breaks


@given(cases())
def test_many_are_settled_as_each_is(case) -> None:
    """Outcomes, what is tallied, ids, evidence and findings: nothing tells who was settled with others."""
    judged, rule, sides, causes = case
    settling = Settling(rule, judged, PERIOD)
    settled = settling.settle(KEYS, *(columns(rows, len(judged.fields)) for rows in sides))
    lacking = {key for keys in settled.lacking.values() for key in keys}
    found = settling.written(settled, {key: why for key, why in causes.items() if key in lacking})
    tally, breaks = one_by_one(*case)
    assert (settled.tally, sorted(found)) == (tally, sorted(breaks))


@given(cases())
def test_what_a_side_lacks_is_asked_of_it(case) -> None:
    """Causes are sought on the side that lacks a key, of breaks that are told and of no other."""
    judged, rule, sides, _ = case
    settled = Settling(rule, judged, PERIOD).settle(KEYS, *(columns(rows, len(judged.fields)) for rows in sides))
    told = [*settled.others, *settled.pairs]
    told += [(key, judge(judged, [Record(None, ())], [])) for key in settled.alone["upstream"]]
    told += [(key, judge(judged, [], [Record(None, ())])) for key in settled.alone["downstream"]]
    for side in ("upstream", "downstream"):
        wanted = {key for key, one in told if one.outcome in {"missing", "orphan"} and side in one.sides}
        assert set(settled.lacking[side]) == wanted


@given(st.lists(st.one_of(st.none(), st.text(alphabet='ab"\\\x00\x1f\x7f%ü'), st.just("y" * 1_001))))
def test_values_are_told_as_one_is(values) -> None:
    """Whatever a column holds, each of its values is the JSON that it is by itself."""
    assert json_texts(values) == [text for value in values for text in json_texts([value, None])[:1]]


@given(st.lists(st.one_of(st.none(), st.integers(-(10**18), 10**18), st.integers(0, 2 * 10**15))))
def test_moments_are_told_as_one_is(times) -> None:
    """With or without a fraction, and where no calendar reaches."""
    assert moments(times) == [moments([at])[0] for at in times]
    assert all(moments([at]) == [f'"{utc(at)}"'] for at in times if at is not None and isinstance(utc(at), str))


@given(st.lists(st.one_of(st.none(), st.sampled_from(["", "-5", "5", "--5", "٣", "²", "1_0", " 1", "infinity", "12"]))))
@example(["1", "22"])
def test_times_are_read_as_one_is(texts) -> None:
    """A text that is no moment is none, whatever stands beside it."""
    try:
        wanted = [micros(one) for one in texts]
    except ValueError:
        with pytest.raises(ValueError, match="invalid literal"):
            all_micros(texts)
    else:
        assert all_micros(texts) == wanted


@given(st.text(), st.lists(st.text()), st.lists(st.text(), max_size=2))
def test_many_fingerprints_are_each_the_same(first, others, last) -> None:
    """What stands for a break does not depend on how many are written at a time."""
    made = fingerprints(first, [one.encode() for one in others], *last)
    assert made == [fingerprint(first, one, *last) for one in others]


def test_columns_of_several_answers_are_one_behind_the_other() -> None:
    """Only rows of keys that were asked for are kept, and none is lost between two answers."""
    first = columns_of([["a", "b"], ["1", None], ["x", "y"]], 1)
    second = columns_of([["c", "a"], ["3", "4"], ["z", None]], 1)
    assert first.among({("a",), ("b",)}) is first
    both = joined([first.among({("b",)}), second], 1)
    assert (both.keys, both.at, both.fields) == ([("b",), ("c",), ("a",)], [None, 3, 4], [("y",), ("z",), (None,)])
    assert (joined([], 2).fields, both.repeated) == ([], frozenset())
    assert joined([first, second], 1).repeated == {("a",)}
