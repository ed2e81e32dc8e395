"""The travel agency: its mirror of all suppliers, as a user of tieout writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from aiohttp import (
    ClientConnectionError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ServerDisconnectedError,
)

from tieout import App
from tieout.mirror import Fetched, Group, Mirror, SlowDown, days, dictionary, flag, int16, money, shape, tier, tiers

HORIZON = 60
"""Days that are mirrored."""

HOT_DAYS = 10
"""Days that are asked for often, and the most that one query can fetch."""

HOT_EVERY, FULL_EVERY, BROWSE_WINDOW = 900.0, 21_600.0, 60.0
"""Seconds of the demo's time."""

SHORTEST_WINDOW, WINDOW = 10.0, 60.0
"""Seconds in which the suppliers count their queries: a minute of the demo's time, never less than ten by the clock."""

CONCURRENCY = 8
"""Queries that a supplier bears at a time: five for the plan, and three for whoever looks or orders."""

AGREED = 2.0
"""Seconds within which the suppliers have agreed to answer."""

SKEW = 0.5
"""Seconds by which the suppliers' clocks may be wrong."""

ZONES = ("UTC", "Asia/Shanghai", "Europe/Lisbon")


class Terms(NamedTuple):
    """What the agency has agreed: where the suppliers are, how many, and how many queries each allows in a window.

    `speed` is how much faster than the clock the demo's time runs; `window` and `catalogue_every` are in seconds of the
    clock.
    """

    url: str
    suppliers: int
    limit: int
    window: float
    speed: float
    catalogue_every: float


async def sent_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Raise what breaks a connection as an error behind which aiohttp does not send again: there is one token."""
    try:
        return await handler(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientConnectionError(str(error)) from error


class Hotels:
    """One supplier over HTTP; `asker` is whom it sees."""

    shapes = (shape("hotel", max_days=HOT_DAYS),)

    def __init__(self, http: ClientSession, url: str, asker: str) -> None:
        self._http = http
        self._url = url
        self._asker = asker

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        """All hotels, page by page."""
        page, more = 0, True
        while more:
            told = await self._get(f"hotels?page={page}")
            yield [Group(hotel, rooms) for hotel, rooms in told["hotels"].items()]
            page, more = page + 1, told["more"]

    async def fetch(self, group: str, first: date, count: int) -> Fetched:
        """All rooms of a hotel."""
        told = await self._get(f"hotels/{group}?first={first}&days={count}&asker={self._asker}")
        return Fetched({room: _cells(said, count) for room, said in told["rooms"].items()}, told["complete"])

    async def check(self, item: str, first: date, count: int) -> Mapping[str, Sequence[Any]]:
        """One room, for an order."""
        told = await self._get(f"rooms/{item}?first={first}&days={count}&asker={self._asker}")
        return _cells(told["rooms"][item], count)

    async def _get(self, path: str) -> Any:
        async with self._http.get(f"{self._url}/{path}", middlewares=(sent_once,)) as answer:
            if answer.status == 429:
                raise SlowDown(float(answer.headers.get("Retry-After", 1)))
            answer.raise_for_status()
            return msgspec.json.decode(await answer.read())


def _cells(said: dict[str, Any], count: int) -> dict[str, Sequence[Any]]:
    """What is said of a room, as the mirror's fields: where it has no price it is not for sale."""
    return {"price": said["price"], "stock": said["stock"], "open": [True] * count, "rules": [said["rule"]] * count}


def supplier_names(count: int) -> list[str]:
    """What the suppliers are called."""
    return [f"s{number:03d}" for number in range(count)]


def zone_of(supplier: str) -> str:
    """Where a supplier's day begins."""
    return ZONES[int(supplier[1:]) % len(ZONES)]


def agency(db: str, terms: Terms, http: ClientSession, *, asker: str, follows: bool) -> tuple[App, Mirror]:
    """The agency's App, and the mirror that it holds; one that does not follow reads, and asks for readers."""
    app = App(db, sweep=follows, migrate=not follows)
    speed = terms.speed
    rooms = app.mirror(
        "rooms",
        axis=days(HORIZON),
        fields={
            "price": money(fold="sum"),
            "stock": int16(fold="min"),
            "open": flag(fold="all"),
            "rules": dictionary(),
        },
        policy=tiers(
            hot=tier(days(HOT_DAYS), every=max(1.0, HOT_EVERY / speed)),
            full=tier(days(HORIZON), every=max(1.0, FULL_EVERY / speed)),
        ),
        half_life=86_400 / speed,
    )
    for name in supplier_names(terms.suppliers):
        rooms.supplier(
            name,
            f"{terms.limit}/{round(terms.window)}s",
            concurrency=CONCURRENCY,
            zone=zone_of(name),
            reserve={"order": 0.1, "browse": 0.2},
            timeout=AGREED,
            order_timeout=AGREED,
            browse_window=max(0.2, BROWSE_WINDOW / speed),
            catalogue_every=terms.catalogue_every,
            skew=SKEW,
        )(Hotels(http, f"{terms.url}/{name}", asker))
    return app, rooms


def window_of(speed: float) -> int:
    """Seconds in which the suppliers count, where the demo's time runs at this speed."""
    return round(max(SHORTEST_WINDOW, WINDOW / speed))


def quota_seconds(rooms: Mirror, hotels: int) -> float:
    """How long the first load of a supplier takes at least, by what it allows the plan: the reserves are not its."""
    plan = rooms.following(supplier_names(1)[0]).terms.classes["sync"]
    return round(hotels * (HORIZON // HOT_DAYS) * plan.window / plan.count / 1_000_000, 2)
