"""The net effect of a transaction, and messages that are not what they should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import FeedGap
from tieout.feeds import Change, net
from tieout.feeds.pgoutput import Decoder
from tieout.feeds.shapes import Shapes

STEP = st.tuples(
    st.sampled_from(["put", "move", "delete"]), st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 2)
)


def played(table: dict[str, dict], steps) -> list[Change]:
    """What a database tells of these steps, done one after the other in `table`."""
    told = []
    for kind, key, other, value in steps:
        before = table.pop(key, None)
        target = other if kind == "move" and other not in table else key
        after = None if kind == "delete" or (kind == "move" and before is None) else {"id": target, "v": str(value)}
        if after is not None:
            table[target] = after
        if before != after:
            told.append(Change("t", before, after))
    return told


@given(st.lists(STEP, max_size=8), st.lists(STEP, max_size=12))
def test_the_net_effect_leads_to_the_same_rows(first, then) -> None:
    """Put upon the rows before, it makes the rows after; each key stands there once at most, and only if it changed."""
    table: dict[str, dict] = {}
    played(table, first)
    result = dict(table)
    before = dict(table)
    effect = net(played(table, then), {"t": ["id"]})
    for change in effect:
        key = (change.before or change.after)["id"]
        assert change.before == before.get(key)
        result.pop(key, None)
        if change.after is not None:
            result[key] = change.after
    keys = [(change.before or change.after)["id"] for change in effect]
    assert result == table
    assert len(keys) == len(set(keys))
    assert all(change.before != change.after for change in effect)


def test_keys_of_several_columns_are_not_run_together() -> None:
    """("a", "bc") and ("ab", "c") are two rows, and so are NULL and the empty text."""
    rows = [{"x": x, "y": y} for x, y in (("a", "bc"), ("ab", "c"), ("", None), (None, ""))]
    assert len(net([Change("t", None, row) for row in rows], {"t": ["x", "y"]})) == 4


def test_tables_that_nobody_asked_for_are_left_out() -> None:
    """Only the named tables count."""
    assert net([Change("other", None, {"id": "1"})], {"t": ["id"]}) == []


@given(st.binary(min_size=1, max_size=60))
def test_garbled_messages_are_a_gap(data: bytes) -> None:
    """Whatever comes, it is a message that is known, or the feed stops: nothing is passed over."""
    decoder = Decoder("1/1", {}, Shapes())
    if data[:1] in {b"B", b"O", b"Y", b"C", b"M", b"R"}:
        data = b"Z" + data
    with pytest.raises(FeedGap):
        decoder.feed(data)
