"""The orders that are tried are all that there are."""

from __future__ import annotations

from math import comb

import pytest

from tests.interleavings.gates import Wish, changes
from tests.interleavings.schedule import Orders, commute

READS = [Wish("read", "a"), Wish("read", "b")]
WRITES = [Wish("write", "c"), Wish("commit", "COMMIT")]
UNDONE = [Wish("write", "d"), Wish("rollback", "ROLLBACK")]


def tried(one, two, **options):
    """Every order that is tried of two programs that never wait."""
    orders, found, more = Orders(**options), [], True
    while more:
        left, order = [list(one), list(two)], []
        while could := {n: wishes[0] for n, wishes in enumerate(left) if wishes}:
            went = orders.choose(could)
            order.append((went, left[went].pop(0)))
        if orders.is_new:
            found.append(tuple(order))
        more = orders.next()
    return found


def told_apart(order):
    """The first, by who goes, of all orders that nobody can tell from this one."""
    left, first = list(order), []
    while left:
        free = [
            turn
            for n, turn in enumerate(left)
            if all(who != turn[0] and commute(wish, turn[1]) for who, wish in left[:n])
        ]
        first.append(min(free, key=lambda turn: turn[0]))
        left.remove(first[-1])
    return tuple(first)


PROGRAMS = [(READS + WRITES, READS + WRITES), (UNDONE + READS + WRITES, WRITES + READS), (READS, UNDONE), (WRITES, [])]


@pytest.mark.parametrize(("one", "two"), PROGRAMS)
def test_every_order_is_tried_once(one, two):
    """There are as many orders as ways to choose whose turn it is."""
    found = tried(one, two)
    assert len(found) == len(set(found)) == comb(len(one) + len(two), len(two))


@pytest.mark.parametrize(("one", "two"), PROGRAMS)
def test_of_orders_that_nobody_can_tell_apart_one_is_tried(one, two):
    """What is left out stands for something that is tried, and nothing is tried twice."""
    found = tried(one, two, reads_apart=True)
    assert {told_apart(order) for order in tried(one, two)} == {told_apart(order) for order in found}
    assert len({told_apart(order) for order in found}) == len(found)


def test_a_run_that_goes_elsewhere_is_noticed():
    """When the same choices lead to other ones, the orders are not those of one system."""
    orders = Orders()
    orders.choose({0: READS[0], 1: READS[0]})
    assert orders.next()
    with pytest.raises(AssertionError, match="led elsewhere"):
        orders.choose({0: READS[0], 1: READS[1]})


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("SELECT 1", False),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT 1 FROM a", False),
        ("SELECT id FROM t WHERE id = 1 FOR UPDATE", True),
        ("WITH a AS (SELECT 1) UPDATE t SET b = 1", True),
        ("INSERT INTO t SELECT 1", True),
        ("DELETE FROM t", True),
    ],
)
def test_what_locks_is_no_plain_read(sql, writes):
    """A statement that writes or locks is told from one that only reads."""
    assert changes(sql) is writes
