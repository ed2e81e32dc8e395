"""Flat messages of Canal taken apart: whole rows, or a gap that says why not."""

from __future__ import annotations

import pytest

from tests.feeds.written import NOON, delivery, flat
from tieout.errors import FeedGap
from tieout.feeds import Canal, Change


def read(told, **options):
    return Canal(["t"], **options).read(delivery(told))


def test_what_was_written_changed_and_deleted() -> None:
    """One message may tell several rows; what was changed is told as it was, from the values that it had."""
    rows = [{"id": "1", "v": "x"}, {"id": "2", "v": None}]
    assert read(flat("INSERT", rows)).changes == tuple(Change("t", None, row) for row in rows)
    assert read(flat("DELETE", rows)).changes == tuple(Change("t", row, None) for row in rows)
    changed = read(flat("UPDATE", rows, [{"v": None}, {"id": "3", "v": ""}])).changes
    assert changed == (Change("t", {"id": "1", "v": None}, rows[0]), Change("t", {"id": "3", "v": ""}, rows[1]))


def test_values_are_exact() -> None:
    """A TIMESTAMP is in Canal's own zone, and told in UTC; bytes are digits; all else is as it was written."""
    row = {"id": "1", "v": "漢字", "at": "2026-11-22 20:00:00.000001", "raw": "\x00ÿ\x10"}
    (change,) = read(flat("INSERT", [row]), zone="Asia/Shanghai").changes
    assert change.after == {"id": "1", "v": "漢字", "at": "2026-11-22 12:00:00.000001+00", "raw": "\\x00ff10"}
    (change,) = read(flat("INSERT", [{"id": "1", "at": "0000-00-00 00:00:00"}]), zone="Asia/Shanghai").changes
    assert change.after == {"id": "1", "at": "0000-00-00 00:00:00"}


def test_times_are_the_logs() -> None:
    """A message was committed no earlier than the second that the log tells ends."""
    said = read(flat("INSERT", [{"id": "1"}]))
    assert (said.at, said.watermark) == (NOON * 1_000 + 999_999, NOON * 1_000)
    for table in ("other", "tieout_heartbeat"):
        elsewhere = read(flat("INSERT", [{"id": "1"}], table=table))
        assert (elsewhere.changes, elsewhere.watermark) == ((), NOON * 1_000)
    assert read(None) is None


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (flat("UPDATE", [{"id": "1"}]), "binlog_row_image = FULL"),
        (flat("UPDATE", [{"id": "1"}, {"id": "2"}], [{}]), "binlog_row_image = FULL"),
        (flat("TRUNCATE", [], isDdl=True, sql="TRUNCATE t"), "TRUNCATE"),
        (flat("ALTER", [], isDdl=True, sql="ALTER TABLE t DROP v"), "ALTER"),
        (flat("INSERT", [{"id": 1}]), "no flat messages"),
        (flat("INSERT", [{"id": "1", "at": "soon"}]), "no time"),
        ({"op": "c"}, "no flat message"),
        (flat("INSERT", [None]), "not built as its format says"),
        (flat("INSERT", [{"id": "1", "raw": "漢"}]), "not built as its format says"),
        (flat("INSERT", None), "tells no row"),
    ],
)
def test_what_is_not_told_whole_is_a_gap(told, named) -> None:
    """Rows that are not told as they were, a table that was changed, messages of another form."""
    with pytest.raises(FeedGap, match=named):
        read(told)


def test_a_column_that_is_not_there_is_a_gap() -> None:
    """A row image that leaves columns out does not pass for NULL."""
    with pytest.raises(FeedGap, match="no column v"):
        Canal({"t": ["id", "v"]}).read(delivery(flat("INSERT", [{"id": "1"}])))
