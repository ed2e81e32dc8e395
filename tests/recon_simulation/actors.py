"""Whoever writes to both sources, and what befalls them, their logs, and the nodes that follow them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.recon_simulation.source import DONE, Line, Source

if TYPE_CHECKING:
    from tests.recon_simulation.world import World

OLD = 20
"""Keys that are there before anybody follows."""

LEASE = 5.0
"""Seconds after which another node goes on."""


def cast(world: World) -> list[Coroutine[Any, Any, None]]:
    """Everybody who takes part."""
    return [Business(world).work(), _crash(world), _pause(world), _trouble(world), _cut(world), _change_rule(world)]


def before(world: World) -> None:
    """What is there before: pairs, some of them broken, some older than anybody remembers."""
    ours, theirs = world.sources
    for number in range(OLD):
        ago = world.chance.choice((1, 1, 600)) * world.chance.randrange(1_000_000, 5_000_000)
        row = Line(f"old{number}", DONE, "a", 10, ours.now() - ago)
        broken = world.chance.random()
        if broken > 0.1:
            ours.add(row)
        if broken < 0.9:
            theirs.add(row._replace(cost=11 if broken > 0.8 else 10))


class Business:
    """Writes pairs, late ones, wrong ones, and changes them again."""

    def __init__(self, world: World) -> None:
        self.world, self.chance = world, world.chance
        self._later: list[asyncio.Task[None]] = []

    async def work(self) -> None:
        acts: list[tuple[Callable[[str], None], int]] = [
            *((self._pair, 30), (self._late, 8), (self._alone, 8), (self._wrong, 6), (self._doubled, 5)),
            *((self._change, 8), (self._change_both, 6), (self._delete, 6), (self._delete_both, 5)),
            *((self._withdraw, 6), (self._move, 5), (self._undo, 4)),
        ]
        kinds, weights = [act for act, _ in acts], [weight for _, weight in acts]
        while not self.world.is_calm:
            await asyncio.sleep(self.chance.expovariate(self.world.rates.acts))
            number = self.chance.randrange(self.world.rates.keys)
            key = f"old{number}" if number < OLD and self.chance.random() < 0.3 else f"k{number}"
            if key in self.world.judge.untold or self.world.is_calm:
                continue
            if self.world.strikes(self.world.rates.untold, "change untold"):
                self._untold()
            else:
                self.chance.choices(kinds, weights)[0](key)
        await asyncio.gather(*self._later)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            act()

        self._later.append(asyncio.create_task(later()))

    def _row(self, source: Source, key: str, cost: int = 10, sku: str = "a") -> Line:
        return Line(key, DONE, sku, cost, source.now())

    def _sides(self) -> tuple[Source, Source]:
        """Both, the one that writes first in front."""
        ours, theirs = self.world.sources
        return (ours, theirs) if self.chance.random() < 0.8 else (theirs, ours)

    def _clear(self, key: str) -> None:
        for source in self.world.sources:
            places = source.of(key)
            if places:
                source.commit([(place, None) for place in places])

    def _pair(self, key: str, delay: float | None = None, cost: int = 10) -> None:
        self._clear(key)
        first, second = self._sides()
        wait = self.chance.uniform(0, 0.7 * self.world.rates.grace) if delay is None else delay
        if delay is None:
            self.world.note("pair")
        parts = [4, 6] if self.world.rates.many and self.chance.random() < 0.5 else [10]
        for source, after in ((first, 0.0), (second, wait)):
            for part in parts if source.number == 0 else [cost]:
                self._after(after, lambda source=source, part=part: source.add(self._row(source, key, part)))

    def _late(self, key: str) -> None:
        self.world.note("late")
        self._pair(key, self.world.rates.grace * self.chance.uniform(1.1, 3))

    def _alone(self, key: str) -> None:
        self.world.note("alone")
        self._clear(key)
        source = self._sides()[0]
        source.add(self._row(source, key))

    def _wrong(self, key: str) -> None:
        self.world.note("wrong")
        self._pair(key, 0.1, cost=11)

    def _doubled(self, key: str) -> None:
        self.world.note("doubled")
        self._pair(key, 0.1)
        source = self._sides()[1]
        self._after(self.chance.uniform(0, 3), lambda: source.add(self._row(source, key)))

    def _change(self, key: str) -> None:
        source = self._sides()[0]
        self._set(source, key, "value changed", cost=self.chance.choice((10, 11)))

    def _change_both(self, key: str) -> None:
        first, second = self._sides()
        sku = self.chance.choice("ab")
        self._set(first, key, "both changed", sku=sku)
        within = self.chance.uniform(0, 0.7 * self.world.rates.grace)
        self._after(within, lambda: self._set(second, key, "", sku=sku))

    def _set(self, source: Source, key: str, what: str, **values: Any) -> None:
        places = source.of(key)
        if places:
            self.world.counts[what] += bool(what)
            source.commit([(place, source.rows[place]._replace(**values)) for place in places])

    def _delete(self, key: str) -> None:
        source = self._sides()[0]
        if places := source.of(key):
            self.world.note("deleted")
            source.commit([(places[0], None)])

    def _delete_both(self, key: str) -> None:
        self.world.note("both deleted")
        self._clear(key)

    def _withdraw(self, key: str) -> None:
        source = self._sides()[0]
        state = self.chance.choice((DONE, "void", "void"))
        self._set(source, key, "withdrawn", state=state)

    def _move(self, key: str) -> None:
        source = self._sides()[0]
        if places := source.of(key):
            self.world.note("key moved")
            other = f"k{self.chance.randrange(self.world.rates.keys)}"
            if other not in self.world.judge.untold:
                source.commit([(places[0], source.rows[places[0]]._replace(id=other))])

    def _undo(self, key: str) -> None:
        source = self._sides()[0]
        if places := source.of(key):
            self.world.note("done and undone")
            row = source.rows[places[0]]
            source.commit([(places[0], row._replace(cost=99)), (places[0], None), (places[0], row)])

    def _untold(self) -> None:
        """A partner comes in time, and its feed never tells of it."""
        ours, theirs = self.world.sources
        key = f"untold{len(self.world.judge.untold)}"
        self.world.judge.untold.add(key)
        ours.add(self._row(ours, key))
        self._after(0.1, lambda: theirs.add(self._row(theirs, key), told=False))


async def _crash(world: World) -> None:
    """Nodes die, and come back."""
    while not world.is_calm:
        await asyncio.sleep(world.chance.uniform(0.5, 2.0))
        if world.nodes and world.strikes(world.rates.crash, "crash of a node"):
            world.crash(world.chance.choice(world.nodes))
            await asyncio.sleep(world.chance.uniform(0.1, 3.0))
        while len(world.nodes) < world.rates.nodes:
            world.add_node()
    while len(world.nodes) < world.rates.nodes:
        world.add_node()


async def _pause(world: World) -> None:
    """Nodes stand still, some beyond their lease."""
    while not world.is_calm:
        await asyncio.sleep(world.chance.uniform(0.5, 2.0))
        if world.nodes and world.strikes(world.rates.pause, "pause of a node"):
            node = world.chance.choice(world.nodes)
            seconds = world.chance.choice((0.3, 1.0, 2 * LEASE))
            world.counts["pause beyond a lease"] += seconds > LEASE
            world.freeze(node, seconds)


async def _trouble(world: World) -> None:
    """Feeds stand still, sources are away, or do not write heartbeats."""
    while not world.is_calm:
        await asyncio.sleep(world.chance.uniform(0.5, 1.5))
        source = world.chance.choice(world.sources)
        if world.strikes(world.rates.spells, "feed lags"):
            source.lags_until = world.now + world.chance.uniform(1, 8)
        if world.strikes(world.rates.away, "source away"):
            source.away_until = min(world.calm_at, world.now + world.chance.uniform(0.1, 3))
        if world.strikes(world.rates.deaf, "source deaf"):
            source.deaf_until = min(world.calm_at, world.now + world.chance.uniform(1, 8))


async def _cut(world: World) -> None:
    """The end of a log is gone before it was read."""
    while not world.is_calm:
        await asyncio.sleep(world.chance.uniform(0.5, 1.5))
        if world.strikes(world.rates.cut, "log cut"):
            world.chance.choice(world.sources).cut()


async def _change_rule(world: World) -> None:
    """All nodes are begun anew with another version of the rule, once."""
    while not (world.is_calm or world.is_changed):
        await asyncio.sleep(world.chance.uniform(0.5, 1.5))
        if world.strikes(world.rates.changed, "rule changed"):
            world.is_changed = True
            for node in list(world.nodes):
                world.crash(node)
