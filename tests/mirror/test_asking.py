"""When a plan's tokens are taken: early where that keeps nobody waiting, and behind its place where it would."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tieout.coordination.budget import Token
from tieout.mirror.asking import AHEAD, NEAR, Asking
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


async def early(queries, *, is_crowded):
    """By how much before its time each token was asked for, of so many queries one behind the other."""
    clock = Moving()
    budget, units = Tokens(clock), [Unit(0, first, 10) for first in range(queries)]

    async def ask(*_):
        return None

    terms = SimpleNamespace(places=SimpleNamespace(plan=1, shared=None), timeout=1.0)
    leases = SimpleNamespace(may_begin=lambda *_: True)
    world = SimpleNamespace(clock=clock, leases=leases, chance=SimpleNamespace(random=lambda: 0.5))
    following = SimpleNamespace(
        world=world, budget=budget, terms=terms, paused=False, may_ask=lambda: True, unanswered=0, ask=ask
    )
    planning = SimpleNamespace(units=lambda *_: units, audit=lambda _: None)
    traffic = SimpleNamespace(places=asyncio.Semaphore(1), is_crowded=is_crowded, till=None, leads=1)
    ended = asyncio.Event()
    asking = Asking(
        following,
        planning,
        traffic,
        lease=lambda: None,
        renew=None,
        stage=None,
        ended=lambda error: ended.set() if error is None else pytest.fail(repr(error)),
    )
    for _ in range(queries):
        asking.begin(SimpleNamespace(groups=[SimpleNamespace(name="h1")]), [])
        await ended.wait()
        ended.clear()
    return budget.early


async def test_a_token_is_taken_some_time_before_its_own():
    """Whatever else the node has to do at that moment, the next token comes an interval later, and no later."""
    assert await early(4, is_crowded=False) == [0.0, AHEAD, AHEAD, AHEAD]


async def test_a_crowded_node_takes_a_token_behind_its_place():
    """While somebody waits for a place, no token grows old in the line."""
    assert await early(4, is_crowded=True) == [0.0, NEAR, NEAR, NEAR]
