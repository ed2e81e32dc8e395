"""Token buckets: so many in a second, and a burst."""

from __future__ import annotations

from tieout.coordination.bucket import Buckets


def test_a_burst_then_a_rate():
    """A full bucket gives as many as its burst at once; then one each time that one has come, and it tells when."""
    buckets = Buckets(rate=2.0, burst=3.0)
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("a", 10.5) == 0.0
    assert buckets.take("a", 10.5) == 0.5
    assert buckets.take("b", 10.5) == 0.0


def test_who_comes_out_of_order_takes_one():
    """Somebody with an earlier time than the last takes one as all do: that time went back empties no bucket."""
    buckets = Buckets(rate=100.0, burst=200.0)
    assert buckets.take("a", 20.0) == 0.0
    assert [buckets.take("a", 20.0 - late / 10) for late in range(100)] == [0.0] * 100
    assert [buckets.take("a", 20.0) for _ in range(100)].count(0.0) == 99


def test_the_names_used_last_are_remembered():
    """One that was forgotten begins with a full bucket."""
    buckets = Buckets(rate=1.0, burst=1.0, names=2)
    assert [buckets.take(name, 5.0) for name in ("a", "b", "c", "c", "a")] == [0.0, 0.0, 0.0, 1.0, 0.0]
