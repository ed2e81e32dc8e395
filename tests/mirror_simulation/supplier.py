"""The supplier: it answers late, wrongly, partly or not at all, and writes down every query that it has had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tests.mirror_simulation.truth import GROUPS, Night, Version
from tieout.coordination.budget import OURS
from tieout.mirror import Fetched, Group, SlowDown, shape

if TYPE_CHECKING:
    from tests.mirror_simulation.node import Node
    from tests.mirror_simulation.world import World

cause: ContextVar[str] = ContextVar("cause", default="")
"""Why a node asks: noted by the node, since no supplier is told."""

TIMEOUT = 1.0
"""Seconds after which a node does not wait for an answer any more."""

EPOCH = date(1970, 1, 1)
Cells = dict[str, list[Any]]


@dataclass
class Query:
    """A query as the supplier has it: when it came, and until when it was at work, in seconds."""

    node: str
    kind: str
    cause: str
    came: float
    ended: float


class Supplier:
    """What all nodes ask."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queries: list[Query] = []

    def begin(self, node: Node, kind: str, seconds: float) -> Query:
        """A query comes in, and will be at work for so long."""
        world = self.world
        came = world.now + world.chance.random() * world.jitter * (1 - OURS)
        query = Query(node.name, kind, cause.get(), came, came + seconds)
        self.queries.append(query)
        return query

    def seconds(self) -> float:
        """How long an answer takes."""
        world, rates = self.world, self.world.rates
        if world.strikes(rates.too_late, "answer beyond its time-out"):
            return TIMEOUT * world.chance.uniform(1.0, 6.0)
        if world.strikes(rates.late, "answer late"):
            return TIMEOUT * world.chance.uniform(0.1, 0.95)
        return world.chance.uniform(0.001, 0.05)


class Asked:
    """The supplier as one node's class asks it."""

    shapes = (shape("hotel", max_days=3),)

    def __init__(self, supplier: Supplier, node: Node) -> None:
        self.supplier = supplier
        self.node = node
        self.world = supplier.world

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        world = self.world
        names, is_cut = list(GROUPS), world.strikes(world.rates.catalogue, "catalogue failed")
        if not is_cut and world.strikes(world.rates.catalogue, "catalogue that lost most"):
            names = names[:1]
        for name in names:
            query = self.supplier.begin(self.node, "catalogue", world.chance.uniform(0.001, 0.05))
            await self._wait(query.ended - world.now, query)
            if is_cut and name == names[-1]:
                raise ConnectionResetError("in the middle of the catalogue")
            yield [Group(name, GROUPS[name])]

    async def fetch(self, group: str, first: date, count: int) -> Any:
        world, rates = self.world, self.world.rates
        query = await self._ask("fetch")
        if world.strikes(rates.slow_down, "slow down"):
            query.ended = world.now
            raise SlowDown(world.chance.choice([None, 0.5, 3.0, -1.0]))
        if world.strikes(rates.error, "error"):
            query.ended = world.now
            raise ConnectionResetError("reset")
        items = list(GROUPS[group])
        is_whole = not world.strikes(rates.partial, "partial answer")
        if not is_whole:
            items = world.chance.sample(items, 1)
        is_torn = world.strikes(rates.torn, "torn answer")
        cells = {}
        for item in items:
            cells[item] = self._nights(item, first, count)
            if is_torn:
                await self._wait((query.ended - world.now) * world.chance.random(), query)
        await self._wait(query.ended - world.now, query)
        if world.strikes(rates.garbage, "garbage"):
            return world.chance.choice(GARBAGE)(cells)
        return Fetched(cells, complete=is_whole)

    async def check(self, item: str, first: date, count: int) -> Cells:
        query = await self._ask("check")
        if self.world.strikes(self.world.rates.error, "error"):
            query.ended = self.world.now
            raise ConnectionResetError("reset")
        cells = self._nights(item, first, count, may_lack=False)
        await self._wait(query.ended - self.world.now, query)
        return cells

    async def _ask(self, kind: str) -> Query:
        """A query that the supplier looks at somewhere between its coming and its answer."""
        world = self.world
        query = self.supplier.begin(self.node, kind, self.supplier.seconds())
        looks = query.came + (query.ended - query.came) * world.chance.random()
        await self._wait(looks - world.now, query)
        return query

    async def _wait(self, seconds: float, query: Query) -> None:
        try:
            await asyncio.sleep(max(seconds, 0.0))
        except asyncio.CancelledError:
            query.ended = min(query.ended, max(query.came, self.world.now))
            raise

    def _nights(self, item: str, first: date, count: int, *, may_lack: bool = True) -> Cells:
        world, day = self.world, (first - EPOCH).days
        nights = [world.truth.now(Night(item, day + number)) for number in range(count)]
        lacks = [may_lack and not night.open and world.strikes(world.rates.absent, "night absent") for night in nights]
        return told(nights, lacks)


def told(nights: Sequence[Version], lacks: Sequence[bool] | None = None) -> Cells:
    """Nights as an answer or a push has them; a closed one may be left out."""
    lacks = lacks or [False] * len(nights)
    return {
        "price": [None if lack else night.price for night, lack in zip(nights, lacks, strict=True)],
        "open": [None if lack else night.open for night, lack in zip(nights, lacks, strict=True)],
    }


def day_of(number: int) -> date:
    """The day that has this number."""
    return EPOCH + timedelta(days=number)


GARBAGE = (
    lambda _: None,
    lambda _: Fetched({}),
    lambda cells: Fetched({item: {"price": told["price"]} for item, told in cells.items()}),
    lambda cells: Fetched({item: {**told, "price": [1.5 for _ in told["price"]]} for item, told in cells.items()}),
    lambda cells: Fetched({item: {**told, "open": told["open"][1:]} for item, told in cells.items()}),
    lambda cells: Fetched({item: {**told, "price": [1 << 40] * len(told["price"])} for item, told in cells.items()}),
    lambda cells: {"items": cells},
    lambda _: "<html>",
)
"""Answers that are none."""
