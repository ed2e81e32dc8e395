"""Many users who are in a hurry: they click twice, come back, change their minds, and never take silence for a no."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tieout.demo.points.mall import is_poor, user_name
from tieout.demo.points.redeem import CATALOGUE

PATIENCE_SECONDS = 3.0
"""How long a user waits for one answer before asking again, with the same key."""

ENOUGH_ACCEPTED = 0.25
STRETCHED_AT_MOST = 3.0
VISITS_AT_ONCE = 250
POOR_SHARE = 0.04
TWO_CLICKS_SHARE = 0.12
COME_BACK_SHARE = 0.08
CHANGE_SHARE = 0.03
LOOK_SHARE = 0.1
ANSWERS = {200, 202, 400, 409, 422}


class Order(NamedTuple):
    """What a user asks for, under which key."""

    request_id: str
    user: str
    sku: str
    quantity: int


class ClientLog:
    """What the users were told, one JSON line for each answer, written before anything else is done about it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self.accepted: set[str] = set()
        self.answers: Counter[str] = Counter()

    def note(self, order: Order, status: int, told: dict[str, Any]) -> None:
        """Keep this answer."""
        key, user, sku, quantity = order
        replayed = bool(told.get("replayed"))
        line = {"key": key, "user": user, "sku": sku, "quantity": quantity, "http": status, "replayed": replayed}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if status in (200, 202):
            self.accepted.add(key)
            self.answers["replayed"] += replayed
        else:
            self.answers["refused"] += 1

    def close(self) -> None:
        self._file.close()


class Shoppers:
    """The users of one run. All they do is drawn from the seed, except how long the others take."""

    def __init__(self, url: str, log: ClientLog, seed: int, users: int) -> None:
        self._url = url
        self._log = log
        self._seed = seed
        self._poor = [user_name(n) for n in range(users) if is_poor(n)]
        self._rich = [user_name(n) for n in range(users) if not is_poor(n)] or self._poor
        self._room = asyncio.Semaphore(VISITS_AT_ONCE)
        self._visits: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        limit = ClientTimeout(total=PATIENCE_SECONDS)
        self._http = ClientSession(connector=TCPConnector(limit=0), timeout=limit)
        return self

    async def __aexit__(self, *_: object) -> None:
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        await self._http.close()

    async def come(self, seconds: float, rate: float) -> None:
        """Let users come at this rate for so long; fewer when too many are still waiting for an answer.

        On a machine that is too slow to accept `ENOUGH_ACCEPTED` of them meanwhile they come for longer, at most
        `STRETCHED_AT_MOST` times as long: what few of them met shows nothing.
        """
        clock = asyncio.get_running_loop().time
        chance, begin, at, number = Random(f"arrivals {self._seed}"), clock(), clock(), 0
        while True:
            at += chance.expovariate(rate)
            is_shown = len(self._log.accepted) >= ENOUGH_ACCEPTED * seconds * rate
            if max(at, clock()) >= begin + (1.0 if is_shown else STRETCHED_AT_MOST) * seconds:
                return
            await asyncio.sleep(at - clock())
            await self._room.acquire()
            visit = asyncio.create_task(self._visit(number))
            self._visits.add(visit)
            visit.add_done_callback(self._leave)
            number += 1

    async def leave(self, limit: float) -> bool:
        """Wait until every user has an answer, at most so many seconds; say whether all have."""
        if self._visits:
            await asyncio.wait(self._visits, timeout=limit)
        return not self._visits

    def _leave(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        self._room.release()
        if not visit.cancelled():
            visit.result()

    async def _visit(self, number: int) -> None:
        chance = Random(f"visit {self._seed} {number}")
        user = chance.choice(self._poor if chance.random() < POOR_SHARE else self._rich)
        sku = chance.choice(list(CATALOGUE))
        order = Order(f"r{self._seed}-{number:06d}", user, sku, chance.randint(1, 3))
        clicks = 2 if chance.random() < TWO_CLICKS_SHARE else 1
        await asyncio.gather(*(self._redeem(order, Random(f"{number} {n}")) for n in range(clicks)))
        if chance.random() < COME_BACK_SHARE:
            await asyncio.sleep(chance.random())
            await self._redeem(order, chance)
        if order.request_id in self._log.accepted and chance.random() < CHANGE_SHARE:
            await self._redeem(order._replace(quantity=order.quantity + 1), chance)

    async def _redeem(self, order: Order, chance: Random) -> None:
        """Ask until there is an answer, always with the same key."""
        while True:
            try:
                async with self._http.post(f"{self._url}/redeem", json=order._asdict()) as answer:
                    told = await answer.json()
                    if answer.status in ANSWERS:
                        self._log.note(order, answer.status, told)
                        break
            except (ClientError, TimeoutError, OSError, ValueError):
                pass
            await asyncio.sleep(chance.uniform(0.1, 0.5))
        if "id" in told and (answer.status == 202 or chance.random() < LOOK_SHARE):
            await self._look(told["id"])

    async def _look(self, process: str) -> None:
        try:
            async with self._http.get(f"{self._url}/redeem/{process}") as answer:
                await answer.read()
        except (ClientError, TimeoutError, OSError):
            pass
