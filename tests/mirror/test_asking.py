"""When a plan's tokens are taken: early where that keeps nobody waiting, and behind its place where it would."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from tieout.coordination.budget import Token
from tieout.mirror.asking import AHEAD, NEAR, Asking
from tieout.mirror.observed import Observed
from tieout.mirror.schedule import Unit

EACH = 2.0
"""Seconds between two tokens."""


class Moving:
    """A clock that goes on when somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


class Tokens:
    """A budget of a token each two seconds; when it was asked for each, by how much before its time."""

    def __init__(self, clock):
        self.clock = clock
        self.next_at = 0.0
        self.early = []

    def interval(self, _):
        return round(EACH * 1_000_000)

    async def reserve(self, kind, patience, count, *, till):
        assert (kind, count) == ("sync", 1)
        at = max(self.next_at, self.clock.now)
        self.early.append(round(at - self.clock.now, 6))
        self.next_at = at + EACH
        return [Token(at, at + 0.5)]

    async def use(self, token):
        await self.clock.sleep(max(0.0, token.at - self.clock.now))
        return True


COPY = SimpleNamespace(groups=[SimpleNamespace(name="h1"), SimpleNamespace(name="h2")], index={"h1": 0, "h2": 1})


def asking_for(units, clock, ended, *, is_crowded=False):
    """What asks a supplier that answers nothing for these units; `units` is told what is left out."""

    async def ask(*_):
        return None

    terms = SimpleNamespace(places=SimpleNamespace(plan=1, shared=None), timeout=1.0)
    leases = SimpleNamespace(may_begin=lambda *_: True)
    world = SimpleNamespace(clock=clock, leases=leases, chance=SimpleNamespace(random=lambda: 0.5))
    following = SimpleNamespace(
        world=world, budget=Tokens(clock), terms=terms, paused=False, may_ask=lambda: True, unanswered=0, ask=ask
    )
    planning = SimpleNamespace(units=units, audit=lambda _: None)
    traffic = SimpleNamespace(places=asyncio.Semaphore(1), is_crowded=is_crowded, till=None, leads=1)
    return Asking(following, planning, traffic, lease=lambda: None, renew=None, stage=None, ended=ended)


async def early(queries, *, is_crowded):
    """By how much before its time each token was asked for, of so many queries one behind the other."""
    clock, units, ended = Moving(), [Unit(0, first, 10) for first in range(queries)], asyncio.Event()
    asking = asking_for(
        lambda *_: units,
        clock,
        lambda error: ended.set() if error is None else pytest.fail(repr(error)),
        is_crowded=is_crowded,
    )
    for _ in range(queries):
        asking.begin(COPY, [])
        await ended.wait()
        ended.clear()
    return asking.following.budget.early


async def test_a_token_is_taken_some_time_before_its_own():
    """Whatever else the node has to do at that moment, the next token comes an interval later, and no later."""
    assert await early(4, is_crowded=False) == [0.0, AHEAD, AHEAD, AHEAD]


async def test_a_crowded_node_takes_a_token_behind_its_place():
    """While somebody waits for a place, no token grows old in the line."""
    assert await early(4, is_crowded=True) == [0.0, NEAR, NEAR, NEAR]


def test_what_is_answered_with_garbage_is_left_alone_until_it_is_not():
    """By the key of its group, wherever that stands once the catalogue has changed; others are not left out for it."""
    clock, left_out = Moving(), []

    def units(copy, limit, left):
        left_out.append(set(left))
        return []

    asking = asking_for(units, clock, None)
    told = Observed("h2", 5, 10, 0, 0, {}, "sync", complete=True, whole=True)
    of_h1 = msgspec.structs.replace(told, group="h1")
    asking.note_published([told, of_h1], [told])
    moved = SimpleNamespace(groups=COPY.groups[1:], index={"h2": 0})
    for copy in (COPY, moved, SimpleNamespace(groups=[], index={})):
        asking.forget_plan()
        asking.begin(copy, [])
    assert left_out == [{Unit(1, 5, 10)}, {Unit(0, 5, 10)}, set()]
    left_out.clear()
    for garbled in ([told], [told], []):
        clock.now += 1.5
        asking.forget_plan()
        asking.begin(COPY, [])
        asking.note_published([told], garbled)
    asking.forget_plan()
    asking.begin(COPY, [])
    assert left_out == [set(), {Unit(1, 5, 10)}, {Unit(1, 5, 10)}, set()]
