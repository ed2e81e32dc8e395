"""Every order of a start that joins a user's transaction, and another start of the same key."""

from __future__ import annotations

import pytest

from tests.interleavings.counting import count
from tests.interleavings.joined import ISOLATIONS, OTHERS, joined_pair
from tests.interleavings.users import User


@pytest.fixture(params=ISOLATIONS)
async def users(request, arena):
    """Two users at the same isolation."""
    users = [User(arena.url, request.param) for _ in range(2)]
    for user in users:
        await user.connect()
    yield users
    for user in users:
        await user.close()


@pytest.mark.parametrize("other", OTHERS)
async def test_every_order_of_a_joined_start(arena, users, other, capsys):
    """One process; the loser is told which it is, and all that their transaction wrote before is undone."""
    pair = joined_pair(users, other)
    counted = await count(arena, pair)
    with capsys.disabled():
        print(f"\n{counted}")
    assert counted.broken == []
    assert counted.orders >= pair.least
