"""A start that joins a user's transaction, against another start of the same key."""

from __future__ import annotations

from collections.abc import Iterator

from tests.interleavings.arena import Seen
from tests.interleavings.laws import Pair
from tests.interleavings.pairs import first_wins, nothing, start
from tests.interleavings.users import User
from tieout import AlreadyStarted

ISOLATIONS = ("READ COMMITTED", "REPEATABLE READ")
OTHERS = ("joined start", "start")

JOINED_AND_PLAIN = first_wins(2, 1, 1) + first_wins(1, 1, 2)
"""The user's own write, a note, the insert, COMMIT; and the same without the first."""


def joined_pair(users: list[User], other: str) -> Pair:
    """The first user's joined start against the second one's, or against a start that joins nothing."""
    name = f"joined start/{other}, {users[0].isolation}"
    second, least = (
        (users[1].start, 2 * first_wins(2, 1, 2)) if other == "joined start" else (start(), JOINED_AND_PLAIN)
    )
    return Pair(name, users[0].start, second, least, nothing, errors=(AlreadyStarted,), law=one_joined)


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
