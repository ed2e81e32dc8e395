"""Whoever changes what is true, tells of it, looks, orders; and what befalls nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.mirror_simulation.node import SKEW, Node
from tests.mirror_simulation.supplier import day_of, told
from tests.mirror_simulation.truth import DAYS, GROUP_OF, GROUPS, KEPT, MICROS, Night, Version
from tieout.errors import DatabaseError, InvalidJson, InvalidParams, UnknownItem

if TYPE_CHECKING:
    from tests.mirror_simulation.world import World

PATIENCE = 10.0
"""Seconds that somebody outside waits for a node's answer."""

STARTS = 8.0
"""Seconds until the supplier has something to tell: the copy is made by then, mostly."""


@dataclass
class Pushed:
    """A message, what it tells of which nights, and what became of it."""

    number: str
    body: bytes
    kind: str
    nights: dict[Night, Version]
    stream: str = ""
    sequence: int = -1
    acknowledged: int = 0
    is_lost: bool = False
    was_known: bool = True


def cast(world: World) -> list[Coroutine[Any, Any, None]]:
    """Everybody who takes part."""
    sender = Sender(world)
    return [
        _change(world, sender),
        _crash(world),
        _pause(world),
        _visit(world, world.rates.orders, _order),
        _visit(world, world.rates.browses, _browse),
        _push_garbage(world),
        sender.until_all_is_sent(),
    ]


async def settle(world: World) -> None:
    """Wait until the copy needs nothing more; then have all asked for, once more, and wait again."""
    by_plan = world.rates.often
    await until(world, world.judge.is_true if by_plan else world.judge.has_no_mail)
    world.note("settled by plan" if by_plan else "settled by messages alone")
    await asyncio.sleep(5.0)
    world.judge.look()
    world.judge.look_at_messages()
    while True:
        try:
            await ask(world, lambda node: node.rooms.refresh("acme"))
        except (DatabaseError, TimeoutError):
            continue
        break
    await until(world, world.judge.is_true)


async def until(world: World, holds: Callable[[], bool]) -> None:
    """Wait until it holds, as long as it may take."""
    ends = world.now + 120.0
    while not holds() and world.now < ends:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.5)


async def ask(world: World, work: Callable[[Node], Coroutine[Any, Any, Any]]) -> Any:
    """What some node answers; raise `TimeoutError` when none does in time."""
    while not (open_ones := [node for node in world.nodes if node.is_open]):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.5)
    node = world.chance.choice(open_ones)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def hand_over(task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if answer.done() or task.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    node.begin(work(node)).add_done_callback(hand_over)
    async with asyncio.timeout(PATIENCE):
        return await answer


async def _sleep(world: World, seconds: float) -> None:
    """Wait so long, at most until all is calm."""
    await asyncio.sleep(min(seconds, max(0.0, world.calm_at - world.now)) + 1e-3)


async def _change(world: World, sender: Sender) -> None:
    """Nights change their price, close and open; sometimes many at once."""
    await asyncio.sleep(STARTS * world.chance.random())
    while not world.is_calm:
        await _sleep(world, world.chance.expovariate(world.rates.changes))
        if world.is_calm:
            return
        is_burst = world.chance.random() < world.rates.bursts
        for _ in range(world.chance.randrange(5, 15) if is_burst else 1):
            group = world.chance.choice(list(GROUPS))
            nights = _some_nights(world, group)
            for night in nights:
                is_open = world.chance.random() < 0.7
                world.truth.change(night, world.time.micros(), is_open=is_open)
            world.tell(f"changed: {[tuple(night) for night in nights]}")
            if world.chance.random() < world.rates.push:
                sender.tell(group, nights)


def _some_nights(world: World, group: str) -> list[Night]:
    items = world.chance.sample(GROUPS[group], world.chance.choice((1, 1, 2)))
    first = world.truth.first + world.chance.randrange(KEPT)
    days = range(first, min(first + world.chance.choice((1, 1, 3)), world.truth.first + KEPT))
    return [Night(item, day) for item in items for day in days]


@dataclass
class Sender:
    """The supplier's sender of pushes: it repeats each until it is acknowledged."""

    world: World
    sequences: dict[str, int] = field(default_factory=dict)
    sending: set[asyncio.Task[None]] = field(default_factory=set)
    made: int = 0

    def tell(self, group: str, nights: list[Night]) -> None:
        """Tell of nights of a group that have changed."""
        message = self._message(group, nights)
        self.world.judge.messages.append(message)
        if self.world.strikes(self.world.rates.push_lost, "push lost"):
            message.is_lost = True
            return
        task = asyncio.create_task(self._send(message))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)

    async def until_all_is_sent(self) -> None:
        """Return when all is calm and all is acknowledged."""
        while not self.world.is_calm or self.sending:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(1.0)

    def _message(self, group: str, nights: list[Night]) -> Pushed:
        world, chance = self.world, self.world.chance
        self.made += 1
        kind = chance.choice(("full", "delta", "delta", "some fields", "thin"))
        first = min(night.day for night in nights)
        count = max(night.day for night in nights) - first + 1
        items = GROUPS[group] if kind in ("full", "thin") else tuple(dict.fromkeys(night.item for night in nights))
        all_nights = [Night(item, first + at) for item in items for at in range(count)]
        versions = {night: world.truth.now(night) for night in all_nights}
        change: dict[str, Any] = {"group": group, "first": day_of(first).isoformat(), "count": count}
        if kind == "thin":
            change["kind"] = "thin"
        else:
            change["kind"] = "full" if kind == "full" else "delta"
            cells = {item: told([versions[Night(item, first + at)] for at in range(count)]) for item in items}
            if kind == "some fields":
                kept = chance.choice(("price", "open"))
                cells = {item: {kept: columns[kept]} for item, columns in cells.items()}
            change["items"] = cells
        world.counts[
            {"full": "pushed in full", "delta": "pushed a delta", "thin": "pushed thin"}.get(kind, "pushed some fields")
        ] += 1
        body: dict[str, Any] = {"changes": [change], **self._at(), **self._sequence(group)}
        return Pushed(
            f"m{self.made}", json.dumps(body).encode(), kind, versions, body.get("stream", ""), body.get("sequence", -1)
        )

    def _at(self) -> dict[str, str]:
        world = self.world
        if world.strikes(world.rates.push_untimed, "push of no known time"):
            return {}
        wrong = world.chance.uniform(-1, 1) * min(world.rates.skew, SKEW)
        if world.strikes(world.rates.push_untimed / 3, "push of a time to come"):
            wrong = 3_600.0
        at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=world.time.micros() + round(wrong * MICROS))
        return {"at": at.isoformat()}

    def _sequence(self, group: str) -> dict[str, Any]:
        if self.world.chance.random() < 0.5:
            return {}
        stream = self.world.chance.choice((group, ""))
        self.sequences[stream] = number = self.sequences.get(stream, 0) + 1
        return {"stream": stream, "sequence": number}

    async def _send(self, message: Pushed) -> None:
        world, rates = self.world, self.world.rates
        is_late = world.strikes(rates.push_late, "push late")
        await asyncio.sleep(world.chance.uniform(1, 40) if is_late else world.chance.uniform(0.01, 0.3))
        while True:
            if not world.strikes(rates.push_cut, "push request lost"):
                received = await self._try(message)
                if received is not None and not world.strikes(rates.push_cut, "push answer lost"):
                    break
            await asyncio.sleep(world.chance.uniform(0.5, 5.0))
        if world.strikes(rates.push_twice, "push twice"):
            await asyncio.sleep(world.chance.uniform(0, 20))
            again = await self._try(message)
            if again is not None and again.effect != "duplicate":
                world.judge.violations.append(f"message {message.number} was taken in twice")

    async def _try(self, message: Pushed) -> Any:
        world = self.world
        body, number = message.body, message.number
        try:
            received = await ask(world, lambda node: node.rooms.push("acme", body, message=number))
        except (DatabaseError, TimeoutError):
            return None
        world.counts["duplicate push"] += received.effect == "duplicate"
        world.counts["gap in a stream"] += received.gap
        if not message.acknowledged:
            message.acknowledged = world.time.micros()
            message.was_known = received.effect == "duplicate" or not received.ignored
            later = [one for one in world.judge.messages if one.acknowledged and int(one.number[1:]) > int(number[1:])]
            world.counts["push overtaken"] += any(one.nights.keys() & message.nights.keys() for one in later)
        world.tell(f"pushed {message.number}, {message.kind}: {received}")
        return received


async def _push_garbage(world: World) -> None:
    """Messages that make no sense come in between; each has to be refused."""
    rate, made = world.rates.push_garbage, 0
    while rate and not world.is_calm:
        await _sleep(world, world.chance.expovariate(rate))
        made += 1
        body = world.chance.choice(NONSENSE)
        try:
            await ask(world, lambda node: node.rooms.push("acme", body, message=f"g{made}"))  # noqa: B023 - awaited here
        except (InvalidParams, InvalidJson):
            world.note("garbage pushed")
        except (DatabaseError, TimeoutError):
            continue
        else:
            world.judge.violations.append(f"nonsense was taken in: {body!r}")


NONSENSE = (
    b"",
    b"{",
    b"\xff",
    b'{"changes": []}',
    b'{"changes": [{"kind": "full", "group": "h0", "first": "2026-01-01", "count": 1, "items": {}}]}',
    b'{"changes": [{"kind": "delta", "group": "h0", "first": "today", "count": 1, "items": {"h0-a": {"price": [9]}}}]}',
    b'{"changes": [{"kind": "delta", "group": "h0", "first": "2026-01-01", "items": {"h0-a": {"open": [1]}}}]}',
)


async def _crash(world: World) -> None:
    """Nodes die, and others are started."""
    while not world.is_calm:
        await asyncio.sleep(1.0)
        if world.nodes and world.strikes(world.rates.crash, "crash of a node"):
            world.crash(world.chance.choice(world.nodes))
            await asyncio.sleep(world.chance.uniform(0.1, 10.0))
            world.add_node()


async def _pause(world: World) -> None:
    """Nodes stand still, some for longer than a lease."""
    while not world.is_calm:
        await asyncio.sleep(1.0)
        if world.nodes and world.strikes(world.rates.pause, "pause of a node"):
            is_short = world.chance.random() < 0.8
            seconds = world.chance.uniform(0.01, 2.0) if is_short else world.chance.uniform(5.0, 30.0)
            if seconds > 15.0:
                world.note("pause beyond a lease")
            world.freeze(world.chance.choice(world.nodes), seconds)


async def _visit(world: World, rate: float, visit: Callable[[World, Night], Coroutine[Any, Any, None]]) -> None:
    """Somebody comes now and then."""
    while rate and not world.is_calm:
        await _sleep(world, world.chance.expovariate(rate))
        night = Night(world.chance.choice(list(GROUP_OF)), world.judge.today() + world.chance.randrange(DAYS - 1))
        try:
            await visit(world, night)
        except (DatabaseError, TimeoutError, UnknownItem):
            continue
        except InvalidParams:
            if not world.rates.midnight:
                raise


async def _order(world: World, night: Night) -> None:
    """Somebody orders, and has to be told what is true."""
    began = world.time.micros()
    truth = await ask(world, lambda node: node.rooms.verify("acme", night.item, day_of(night.day)))
    if truth.unavailable is not None:
        world.note("order unavailable")
        return
    world.note("order answered")
    price, is_open = truth.values["price"], truth.values["open"]
    versions = world.truth.versions[night]
    version = versions[price - 1] if price <= len(versions) else None
    if version is None or version.open != is_open or world.truth.ends(night, price) < began:
        world.judge.violations.append(f"an order of {tuple(night)} was told {price, is_open}, which was not true then")
        return
    world.counts["order differed"] += bool(truth.differs)
    world.judge.learned(night, version, "an order")


async def _browse(world: World, night: Night) -> None:
    """Somebody looks, and the supplier may be asked behind that."""
    await ask(world, lambda node: node.rooms.read("acme", night.item, day_of(night.day)))
