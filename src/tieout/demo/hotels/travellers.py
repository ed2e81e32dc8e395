"""People who look at rooms and order some, and an inspector who looks as they do and asks suppliers for the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import ClientSession

from tieout import InvalidParams, UnknownItem
from tieout.demo.hotels.agency import zone_of
from tieout.demo.hotels.demand import Demand, Wish
from tieout.mirror import Mirror, Offer, Truth

ORDER_SHARE = 0.15
"""Of those who have found a room that is open."""

VISITS_AT_ONCE = 200
INSPECTED = 40
"""Stays that an inspector looks at in each second."""


class Room(NamedTuple):
    """A room and whose it is."""

    supplier: str
    name: str


class Tally:
    """What became of visits, orders and inspections; by class of demand where it says so."""

    def __init__(self) -> None:
        self.visits = 0
        self.failures: Counter[str] = Counter()
        self.unavailable: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()
        self.as_shown: Counter[str] = Counter()
        self.inspected: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def order(self, kind: str, truth: Truth) -> None:
        """Count an order's check: the supplier could not be asked, it said something else, or what was shown."""
        if truth.unavailable is not None:
            self.unavailable[truth.unavailable] += 1
            return
        self.checked[kind] += 1
        self.failures.update(truth.differs)
        self.as_shown[kind] += not truth.differs

    def inspect(self, kind: str, *, right: bool) -> None:
        """Count what an inspector found."""
        self.inspected[kind] += 1
        self.right[kind] += right


class Travellers:
    """All of them. What they want is drawn from the seed."""

    def __init__(self, mirror: Mirror, rooms: Sequence[Room], demand: Demand, seed: int) -> None:
        self.tally = Tally()
        self._mirror = mirror
        self._rooms = rooms
        self._demand = demand
        self._seed = seed
        self._going: set[asyncio.Task[None]] = set()

    async def come(self, seconds: float, rate: float) -> None:
        """Let people come at this rate for so long; fewer when too many are still looking."""
        clock = asyncio.get_running_loop().time
        chance, end, at = Random(f"travellers {self._seed}"), clock() + seconds, clock()
        while max(at := at + chance.expovariate(rate), clock()) < end:
            await asyncio.sleep(at - clock())
            if len(self._going) < VISITS_AT_ONCE:
                self._go(self._visit(self._demand.wish(chance), orders=chance.random() < ORDER_SHARE))

    async def leave(self) -> None:
        """Wait until everybody has an answer."""
        if self._going:
            await asyncio.wait(self._going)

    async def inspect(self, http: ClientSession, url: str, chance: Random) -> None:
        """Look at some stays as people do, and ask the suppliers, outside their limits, whether it is true."""
        for _ in range(INSPECTED):
            wish = self._demand.wish(chance)
            room, first = self._rooms[wish.room], self._first(wish)
            try:
                offer = await self._mirror.read(room.supplier, room.name, first, wish.nights, refresh=False)
            except (InvalidParams, UnknownItem):
                continue
            async with http.get(f"{url}/truth/{room.supplier}/{room.name}") as answer:
                truth = msgspec.json.decode(await answer.read())
            self.tally.inspect(self._demand.classes[wish.room], right=is_right(offer, truth, first, wish.nights))

    async def _visit(self, wish: Wish, *, orders: bool) -> None:
        room, first = self._rooms[wish.room], self._first(wish)
        self.tally.visits += 1
        try:
            offer = await self._mirror.read(room.supplier, room.name, first, wish.nights)
            if orders and (offer.values is None or offer.values["open"]):
                truth = await self._mirror.verify(room.supplier, room.name, first, wish.nights)
                self.tally.order(self._demand.classes[wish.room], truth)
        except (InvalidParams, UnknownItem):  # the day has ended meanwhile, or the room is not known yet
            return

    def _first(self, wish: Wish) -> date:
        today = datetime.now(ZoneInfo(zone_of(self._rooms[wish.room].supplier))).date()
        return today + timedelta(days=wish.ahead)

    def _go(self, visit: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(visit)
        self._going.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        if not task.cancelled():
            task.result()


def is_right(offer: Offer, truth: Any, first: date, nights: int) -> bool:
    """Whether an offer says what the supplier says: the whole price, the least stock, or that it is closed."""
    at = (first - date.fromisoformat(truth["first"])).days
    prices, stock = truth["price"][at : at + nights], truth["stock"][at : at + nights]
    if offer.values is None:
        return False
    if None in prices:
        return not offer.values["open"]
    told = {"price": sum(prices), "stock": min(stock), "open": True, "rules": truth["rule"]}
    return dict(offer.values) == told
