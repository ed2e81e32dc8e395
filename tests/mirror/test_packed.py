"""Answers that wait to be stored are kept as bytes, and are afterwards what they were."""

from __future__ import annotations

import gc
from decimal import Decimal

import pytest

from tieout.mirror import days, dictionary, flag, int16, money
from tieout.mirror.answers import read_answers
from tieout.mirror.batch import read
from tieout.mirror.calendar import Layout
from tieout.mirror.digests import digest_of
from tieout.mirror.fields import check_fields
from tieout.mirror.observed import Observed
from tieout.mirror.packed import Packed, packed
from tieout.mirror.words import Words

FIELDS = {"price": money(), "stock": int16(), "open": flag(), "rules": dictionary()}
LAYOUT = Layout(days(60), check_fields(FIELDS))
ROOM = {"price": [100, None], "stock": [1, 2], "open": [True, False], "rules": [{"meal": "none"}, ["x", 1.5]]}


def observed(items):
    return Observed("h1", 20_000, 2, 1, 2, items, "sync", complete=True, whole=True)


def test_a_packed_answer_says_the_same():
    """It reads as before, has the digest of before, and is as long; nothing else of the observation has changed."""
    plain = observed({"r2": ROOM, "r1": {**ROOM, "price": [1 << 30, -1]}})
    kept = packed(plain)
    assert isinstance(kept.items, Packed) and len(kept.items) == 2
    assert dict(kept.items.items()) == dict(plain.items) == {item: kept.items[item] for item in kept.items}
    assert digest_of(kept) == digest_of(plain) is not None
    assert (kept.group, kept.first, kept.count, kept.start, kept.end, kept.cause) == ("h1", 20_000, 2, 1, 2, "sync")
    ours, theirs = (
        dict(zip(answer.items, answer.values["stock"].tolist(), strict=True))
        for answer in (read_answers(LAYOUT, Words({}), [one.items], 2)[0] for one in (kept, plain))
    )
    assert ours == theirs == {"r1": [1, 2], "r2": [1, 2]}


@pytest.mark.parametrize(
    "items",
    [
        None,
        [],
        {"r1": None},
        {"r1": [1, 2]},
        {"r1": {**ROOM, "stock": {1, 2}}},
        {"r1": {**ROOM, "stock": "12"}},
        {"r1": {**ROOM, "stock": [1 << 70, 2]}},
        {"r1": {**ROOM, "rules": [object(), None]}},
    ],
)
def test_what_is_wrong_stays_so(items):
    """An answer that is no mapping of lists, or has no bytes, is kept as it came: what is wrong is told of it."""
    plain = observed(items)
    assert packed(plain) is plain


@pytest.mark.parametrize("wrong", [[Decimal(1), 2], [1.5, 2], ["1", 2], [1], [1, 1 << 40]])
def test_wrong_values_are_garbled_when_packed_too(wrong):
    """Bytes make nothing right."""
    kept = packed(observed({"r1": {**ROOM, "stock": wrong}}))
    assert isinstance(kept.items, Packed)
    assert read(LAYOUT, Words({}), [(kept, digest_of(kept))]).garbled


def test_the_collector_has_nothing_to_go_through():
    """Neither an observation that waits nor what it holds is looked at by the collector of garbage."""
    kept = packed(observed({"r1": ROOM}))
    assert not gc.is_tracked(kept) and not gc.is_tracked(kept.items)
