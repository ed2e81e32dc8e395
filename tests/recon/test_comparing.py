"""The statements that compare snapshots say nothing that the judge would not."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.recon.cases import FIELDS, PERIOD, many_cases, written
from tieout.recon import Field, Judged, Record, judge
from tieout.recon.comparing import Comparison

QUICK = (Phase.explicit, Phase.generate)
"""A failure is not made smaller: each try starts a database."""


def expected(rule: Judged, upstream, downstream) -> tuple[int, int, int]:
    """Keys that are tied, late-tied and carried, by the judge alone."""
    sides = []
    for rows in (upstream, downstream):
        keyed = defaultdict(list)
        for key, at, values in rows:
            if key is not None and at is not None:
                keyed[key].append(Record(at, values))
        sides.append(keyed)
    counts = {"tied": 0, "late-tied": 0, "carried": 0}
    for key in sides[0].keys() | sides[1].keys():
        ours, theirs = sides[0][key], sides[1][key]
        anchor, other = (ours, theirs) if rule.anchor == "upstream" else (theirs, ours)
        verdict = judge(rule, ours, theirs)
        inside = [any(one.at in PERIOD for one in records) for records in (anchor, other)]
        if verdict.outcome == "duplicate" or not anchor or not other:
            continue
        if not inside[0]:
            counts["carried"] += inside[1]
        elif verdict.outcome in counts:
            counts[verdict.outcome] += 1
    return counts["tied"], counts["late-tied"], counts["carried"]


def checked(rule: Judged, upstream, downstream, *, whole=(False, False), numbers=frozenset()) -> None:
    """What statements call tied is no more than what the judge does, and candidates make up for the rest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blank = ("-1", 1, tuple(None for _ in rule.fields))
        files = {"upstream": written(folder, "upstream", [*upstream, blank], whole=whole[0])}
        files["downstream"] = written(folder, "downstream", [*downstream, blank], whole=whole[1])
        comparison = Comparison(files, rule, PERIOD, 1, 1.0, numbers)
        counts = comparison.classify()
        keys = [key for page in comparison.candidates(2) for key in page]
        rest = [[row for row in rows if (row[0],) in keys] for rows in (upstream, downstream)]
        comparison.close()
    tied, late, carried = expected(rule, upstream, downstream)
    again = expected(rule, *rest)
    assert len(keys) == len(set(keys)) == counts.candidates
    assert (counts.tied + again[0], counts.late_tied + again[1], counts.carried) == (tied, late, carried)


@settings(max_examples=8, phases=QUICK)
@given(many_cases())
def test_statements_and_judge_agree(cases) -> None:
    """Whatever both sides hold, a key is tied by statement only if the judge says so, and no key is lost."""
    checked(Judged(FIELDS, grace=50), *cases)


@pytest.mark.parametrize("whole", [(True, True), (True, False), (False, True)])
@settings(max_examples=4, phases=QUICK)
@given(many_cases())
def test_keys_that_are_numbers_are_compared_as_their_texts_are(whole, cases) -> None:
    """Keys kept as numbers, on both sides or on one, tie and break like their texts, NULL and doubled ones too."""
    names: dict[str, str] = {}
    sides = [
        [(None if key is None else names.setdefault(key, str(len(names) - 40)), at, values) for key, at, values in rows]
        for rows in cases
    ]
    checked(Judged(FIELDS, grace=50), *sides, whole=whole)


ODD = ["NaN", "Infinity", "-Infinity", "0", "1.01", "-7", "9" * 999, "9" * 1_001, "9" * 2_001, "0." + "1" * 998, None]


@pytest.mark.parametrize("tolerance", [None, Decimal("0.01")])
def test_numbers_as_a_database_writes_them_are_tied_only_if_they_are_finite(tolerance) -> None:
    """What a database writes for no number agrees with nothing, not even with itself; the rest as it is judged."""
    rule = Judged((Field("cost", "value", "number", tolerance),))
    pairs = [(ours, theirs) for ours in ODD for theirs in ODD]
    upstream, downstream = ([(f"{n}", 150, (pair[side],)) for n, pair in enumerate(pairs)] for side in (0, 1))
    checked(rule, upstream, downstream, numbers=frozenset({0}))


def test_a_sample_of_numbers_is_that_of_their_texts() -> None:
    """A side whose keys are numbers has the same keys in the sample as one whose keys are texts."""
    rows = [(str(n), 150, ("x",)) for n in range(-1_000, 1_000)]
    for whole in [(False, True), (True, True)]:
        with tempfile.TemporaryDirectory() as name:
            files = {
                side: written(Path(name), side, rows, whole=one)
                for side, one in zip(("upstream", "downstream"), whole, strict=True)
            }
            comparison = Comparison(files, Judged((Field("a", "a"),)), PERIOD, 1, 0.25)
            counts = comparison.classify()
            comparison.close()
        assert 400 < counts.tied < 600
        assert counts.candidates == 0


MANY = [frozenset({"upstream"}), frozenset({"downstream"}), frozenset({"upstream", "downstream"})]


@settings(max_examples=8, phases=QUICK)
@given(many_cases(), st.sampled_from(MANY))
def test_parts_are_added_up_as_the_judge_does(cases, many) -> None:
    """The same holds where the rows of a key are parts: sums, and values that all parts have to share."""
    fields = (*FIELDS[:2], Field("cost", "value", "number", Decimal(0), summed=True), *FIELDS[3:])
    checked(Judged(fields, many, grace=50), *cases)


def test_parts_that_do_not_share_a_value_are_left_to_the_judge() -> None:
    """One part that has no note, or another one, keeps a key from being tied, though the least of them agrees."""
    rule = Judged((Field("note", "note"),), frozenset({"downstream"}))
    upstream = [(key, 150, ("x",)) for key in ("other", "none", "fine")]
    downstream = [(key, 150, (note,)) for key, note in zip(["other", "none", "fine"], ["y", None, "x"], strict=True)]
    checked(rule, upstream, [*downstream, *[(key, 150, ("x",)) for key in ("other", "none", "fine")]])


def test_a_sample_takes_the_same_keys_on_both_sides() -> None:
    """A sample is a share of the keys, whole: what is compared has its partner in the sample too."""
    rows = [(f"key-{n}", 150, ("x",)) for n in range(2_000)]
    with tempfile.TemporaryDirectory() as name:
        files = {side: written(Path(name), side, rows) for side in ("upstream", "downstream")}
        comparison = Comparison(files, Judged((Field("a", "a"),)), PERIOD, 1, 0.25)
        counts = comparison.classify()
        comparison.close()
    assert 400 < counts.tied < 600
    assert counts.candidates == 0


def doubled(sides: tuple[str, ...]) -> tuple[list, list]:
    """Rows of a thousand keys that agree; the last one stands twice on these sides."""
    rows = [(f"key-{n}", 150, ("x",)) for n in range(1_000)]
    upstream, downstream = (rows + rows[-1:] if side in sides else rows for side in ("upstream", "downstream"))
    return upstream, downstream


@pytest.mark.parametrize("sides", [("upstream",), ("downstream",), ("upstream", "downstream")])
def test_one_key_that_is_there_twice_is_no_pair(sides) -> None:
    """Among keys that are each there once, one that is not is left to the judge, on whichever side it is."""
    checked(Judged((Field("a", "a"),)), *doubled(sides))


def test_both_sides_may_be_looked_through_at_a_time(tmp_path) -> None:
    """Threads that ask for keys of either side are each given that side's rows, and all of them."""
    rows = {side: [(f"key-{n}", 150, (side,)) for n in range(200)] for side in ("upstream", "downstream")}
    files = {side: written(tmp_path, side, rows[side]) for side in rows}
    comparison = Comparison(files, Judged((Field("a", "a"),)), PERIOD, 1, 1.0)
    assert comparison.classify().candidates == 200
    batches = list(comparison.candidates(10))
    with ThreadPoolExecutor(6) as threads:
        asked = [(side, keys, threads.submit(comparison.found, side, keys)) for keys in batches for side in rows]
        for side, keys, found in asked:
            assert found.result().records == {key: [Record(150, (side,))] for key in keys}
    comparison.close()
