"""What is kept of one key, and what facts and answers make of it."""

from __future__ import annotations

from itertools import permutations

import pytest

from tieout.recon.facts import Fact, Kept, Plain, Seen
from tieout.recon.rules import Field, Judged, Record

GRACE = 1_000
RULE = Judged((Field("sku", "sku"),), grace=GRACE)
ONE = [Record(5, ("a",))]
NOW = 7_000


@pytest.mark.parametrize(("theirs", "outcome"), [([], "missing"), ([Record(5, ("b",))], "differs")])
def test_who_is_asked_for_early_waits_for_the_grace(theirs, outcome) -> None:
    """A key that was not known when it changed is asked for at once; what does not agree by then may yet."""
    kept = Kept(changed=NOW)
    kept.doubt()
    kept.settle(RULE, ONE, theirs, NOW + GRACE - 1)
    assert (kept.outcome, kept.due, kept.records) == ("waiting", NOW + GRACE, (ONE, theirs))
    kept.settle(RULE, ONE, theirs, NOW + GRACE)
    assert (kept.outcome, kept.due) == (outcome, None)


def test_who_agrees_when_asked_for_does_not_wait() -> None:
    """Agreement stands at once, however early it is found."""
    kept = Kept(changed=NOW)
    kept.doubt()
    kept.settle(RULE, ONE, ONE, 0)
    assert (kept.outcome, kept.due) == ("tied", None)


def fact(side: int, *, gone: str | None = None, come: str | None = None, at: int = NOW) -> Fact:
    records = [None if sku is None else Record(5, (sku,)) for sku in (gone, come)]
    return Fact(1, '["1"]', side, *records, at, Seen(at, "x:1"))


def test_what_does_not_agree_waits_for_the_grace_behind_its_latest_fact() -> None:
    """Whichever side it came from; what agrees does not wait, and what both withdraw is no pair any more."""
    kept, plain = Kept(), Plain(RULE)
    for what, outcome, due in (
        (fact(0, come="a"), "waiting", NOW + GRACE),
        (fact(1, come="b", at=NOW + 5), "waiting", NOW + 5 + GRACE),
        (fact(1, gone="b", come="a", at=NOW + 6), "tied", None),
        (fact(0, gone="a", at=NOW + 7), "waiting", NOW + 7 + GRACE),
        (fact(1, gone="a", at=NOW + 8), "withdrawn", None),
    ):
        kept.take(what)
        kept.stand(RULE, plain)
        assert (kept.outcome, kept.due) == (outcome, due)


def test_equal_records_are_several() -> None:
    """What is there twice is two records, of which one may go; one that goes and was never there is in doubt."""
    kept = Kept()
    for what, count in ((fact(0, come="a"), 1), (fact(0, come="a"), 2), (fact(0, gone="a"), 1)):
        kept.take(what)
        assert (len(kept.records[0]), kept.outcome) == (count, "new")
    kept.take(fact(0, gone="b"))
    kept.stand(RULE, Plain(RULE))
    assert (kept.outcome, kept.due) == ("doubtful", 0)


CHANGES = ((None, "a", -3), (None, "a", 3), ("a", "b", -2), ("b", None, 4))
SEVERAL = [fact(side, gone=gone, come=come, at=at) for side in (0, 1) for gone, come, at in CHANGES]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_facts_of_a_new_key_that_come_at_once_are_what_they_are_one_by_one(count) -> None:
    """However many they are, of whichever sides, and in which order."""
    for facts in permutations(SEVERAL, count):
        kept = Kept()
        for one in facts:
            kept.take(one)
        assert Kept.of(facts) == kept
