"""What happens to the copy of a supplier, and what has to be true of it in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.mirror_kill.truth import DAYS, Truth, zone_elsewhere
from tieout.mirror.mirror import Mirror

HOTELS = 3

Act = Callable[[Mirror, Truth], Awaitable[Any]]


@dataclass(frozen=True)
class Story:
    """One story: whether it begins with a loaded copy, how the truth has changed since, and what is done about it.

    Each act is done by the first node, and by the other one if the first has not lived to see it done.
    """

    name: str
    is_loaded: bool
    change: Callable[[Truth], None]
    acts: dict[str, Act]
    has_new_catalogue: bool = False


def _nothing(truth: Truth) -> None:
    """The truth is as it was."""


def _told(truth: Truth) -> None:
    """Nights change that only messages, and one order, tell of: nobody would ask for them for a day."""
    for ahead in range(3):
        truth.prices["h0-a", truth.day(ahead)] = 110 + ahead
    truth.push("delta", "delta", "h0", 0, 3, "h0-a")
    for ahead in range(3, DAYS):
        truth.prices["h1-a", truth.day(ahead)] = 130 + ahead
        truth.closed.add(("h1-b", truth.day(ahead)))
    truth.push("full", "full", "h1", 3, 3, "h1-a", "h1-b")
    truth.prices["h2-a", truth.day(1)] = 150
    truth.push("thin", "thin", "h2", 1, 1)
    truth.push("first of a stream", "delta", "h0", 0, 1, "h0-a", stream="h0", sequence=1)
    truth.prices["h0-b", truth.day(4)] = 160
    truth.push("third of a stream", "delta", "h0", 0, 1, "h0-a", stream="h0", sequence=3)
    truth.prices["h2-b", truth.day(5)] = 170


def _pushed(message: str) -> Act:
    return lambda rooms, truth: rooms.push("acme", truth.pushes[message], message=message)


async def _ordered(rooms: Mirror, truth: Truth) -> Any:
    """Somebody orders a night whose price has changed, and has to be told the truth."""
    told = await rooms.verify("acme", "h2-b", truth.day(5))
    if told.values is None:
        raise RuntimeError(f"the order could not be checked: {told.unavailable}")
    assert told.values == {"price": 170, "open": True}, told
    return told


async def _browsed(rooms: Mirror, truth: Truth) -> Any:
    """Somebody looks at a night, and the supplier is asked behind that."""
    return await rooms.read("acme", "h1-a", truth.day(0))


def _all_changed(truth: Truth) -> None:
    """Every night has another price, some are closed, a hotel is gone, one has come, and a room has moved.

    Of the two hotels that stay, one is in another zone, and the days of the other one end late.
    """
    truth.groups = {"h0": ["h0-a", "h0-b", "h1-b"], "h1": ["h1-a"], "h9": ["h9-a"]}
    truth.zones, truth.late = {"h0": zone_elsewhere()}, {"h1"}
    items = ((group, item) for group, rooms in truth.groups.items() for item in rooms)
    for number, (group, item) in enumerate(items):
        for ahead, day in enumerate(truth.days_of(group)):
            truth.prices[item, day] = 200 + 10 * number + ahead
            if (number + ahead) % 5 == 0:
                truth.closed.add((item, day))


async def _refreshed(rooms: Mirror, truth: Truth) -> Any:
    """Somebody has everything asked for."""
    return await rooms.refresh("acme")


MESSAGES = ("delta", "full", "thin", "first of a stream", "third of a stream")

STORIES = (
    Story("sync", is_loaded=False, change=_nothing, acts={}),
    Story(
        "merge",
        is_loaded=True,
        change=_told,
        acts={f"push {message}": _pushed(message) for message in MESSAGES} | {"order": _ordered, "browse": _browsed},
    ),
    Story("publish", is_loaded=True, change=_all_changed, acts={"refresh": _refreshed}, has_new_catalogue=True),
)
