"""Every order of a start that joins a user's transaction, and another start of the same key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interleavings.arena import Seen
from tests.interleavings.laws import Pair, violations
from tests.interleavings.pairs import first_wins, nothing, start
from tests.interleavings.schedule import Orders
from tests.interleavings.users import User
from tieout import AlreadyStarted

JOINED_AND_PLAIN = first_wins(2, 1, 1) + first_wins(1, 1, 2)
"""The user's own write, a note, the insert, COMMIT; and the same without the first."""


@pytest.fixture(params=["READ COMMITTED", "REPEATABLE READ"])
async def users(request, arena):
    """Two users at the same isolation."""
    users = [User(arena.url, request.param) for _ in range(2)]
    for user in users:
        await user.connect()
    yield users
    for user in users:
        await user.close()


def one_joined(seen: Seen) -> Iterator[str]:
    """What a user wrote before the start stands exactly if their transaction has started the process."""
    refused = [outcome for outcome in seen.outcomes if isinstance(outcome, AlreadyStarted)]
    replayed = [outcome for outcome in seen.outcomes if getattr(outcome, "replayed", False)]
    if len(refused) + len(replayed) != 1:
        yield f"{len(refused)} refused, {len(replayed)} told of the other's"
    plain = [outcome for outcome in seen.outcomes if hasattr(outcome, "replayed")]
    joined = 2 - len(plain) - len(refused)
    if seen.notes.count("earlier") != joined:
        yield f"{joined} have joined, and {seen.notes.count('earlier')} have written before it"


@pytest.mark.parametrize("other", ["joined start", "start"])
async def test_every_order_of_a_joined_start(arena, users, other, capsys):
    """One process; the loser is told which it is, and all that their transaction wrote before is undone."""
    name = f"joined start/{other}, {users[0].isolation}"
    second, least = (
        (users[1].start, 2 * first_wins(2, 1, 2)) if other == "joined start" else (start(), JOINED_AND_PLAIN)
    )
    pair = Pair(name, users[0].start, second, least, nothing, errors=(AlreadyStarted,), law=one_joined)
    await arena.prepare(pair.prepare)
    seen = [one async for one in arena.every_order(pair.acts, pair.desk, Orders())]
    broken = [what for one in seen for what in violations(pair, one)]
    with capsys.disabled():
        print(f"\n{arena.database.dialect} {pair.name}: {len(seen)} interleavings, {len(broken)} violations")
    assert broken == []
    assert len(seen) >= pair.least
