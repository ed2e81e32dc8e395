"""A type with joins, timers, children and a cancel step, and the world that it runs in."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import Any

import tieout
from tieout import Answer, Cancelled, ChildrenEnded, Failed, Found, Next, Sending, Succeeded, Transaction


class World:
    """Downstreams that answer as scripted, else with success; and what was sent and looked up."""

    def __init__(self) -> None:
        self.scripts: defaultdict[str, deque[Any]] = defaultdict(deque)
        self.sent: list[tuple[str, str]] = []
        self.steps: list[str] = []
        self.rates = iter(range(1, 1_000))
        self.quoted: list[int] = []

    async def answer(self, step: str, send: Sending) -> Any:
        self.sent.append((step, send.key))
        script = self.scripts[step]
        answer = script.popleft() if script else Succeeded(f"{step} done")
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return Succeeded(f"{step} done")
        return answer


class Order(tieout.Process[World], name="order", key="number"):
    """Pays and ships at a time; may be cancelled, may wait first, may go out in parcels."""

    number: str
    gift: bool = False
    wait: str = ""
    parcels: int = 0

    done = tieout.Final[str]()
    undone = tieout.Final[str]()
    cancelled = tieout.Final[str]()

    @tieout.start(to=("fulfil", "rest", "pack"))
    async def place(self, tx: Transaction) -> Next:
        if self.parcels:
            return self.pack.next([Parcel(number=f"{self.number}/{n}") for n in range(self.parcels)])
        if self.wait:
            return self.rest.next(self.wait, tag="rested")
        wrapped = {"wrap": self.wrap.next()} if self.gift else {}
        return self.fulfil.next(pay=self.pay.next(amount=9), ship=self.ship.next(), **wrapped)

    @tieout.call(timeout=1, query_after=0.05, settle=0.05)
    async def pay(self, send: Sending, amount: int) -> Answer[str]:
        self.deps.quoted.append(await send.recall("rate", self.rate))
        return await self.deps.answer("pay", send)

    async def rate(self) -> int:
        return next(self.deps.rates)

    @pay.query
    async def find_pay(self, send: Sending, amount: int) -> Found[str]:
        return await self.deps.answer("find pay", send)

    @tieout.call(timeout=1, query_after=0.05, idempotent=False)
    async def ship(self, send: Sending) -> Answer[str]:
        return await self.deps.answer("ship", send)

    @ship.query
    async def find_ship(self, send: Sending) -> Found[str]:
        return await self.deps.answer("find ship", send)

    @tieout.call(timeout=1)
    async def wrap(self, send: Sending) -> Answer[str]:
        return await self.deps.answer("wrap", send)

    @tieout.join(to=("done", "undone"))
    async def fulfil(
        self,
        tx: Transaction,
        pay: Succeeded[str] | Failed,
        ship: Succeeded[str] | Failed,
        wrap: Succeeded[str] | Failed | None,
    ) -> Next:
        self.deps.steps.append("fulfil")
        if self.deps.scripts["fulfil"]:
            raise self.deps.scripts["fulfil"].popleft()
        if isinstance(pay, Failed) or isinstance(ship, Failed):
            return self.undone(f"{pay} {ship}")
        return self.done(f"{pay.value}, {ship.value}, {wrap and wrap.value}")

    @tieout.timer(to="done")
    async def rest(self, tx: Transaction, tag: str) -> Next:
        return self.done(tag)

    @tieout.children(to="done")
    async def pack(self, tx: Transaction, ended: ChildrenEnded) -> Next:
        return self.done(" ".join(f"{final}={count}" for final, count in sorted(ended.counts.items())))

    @tieout.cancel(to="cancelled")
    async def undo(self, tx: Transaction, wish: Cancelled) -> Next:
        paid = [name for name, outcome in wish.outcomes.items() if isinstance(outcome, Succeeded)]
        return self.cancelled(f"{wish.reason} by {wish.actor} at {wish.state}, to undo: {sorted(paid)}")


class Parcel(tieout.Process[World], name="parcel", key="number"):
    """A child. The one whose number ends in 3 is refused."""

    number: str
    gone = tieout.Final[str]()
    lost = tieout.Final[str]()

    @tieout.start(to="send")
    async def begin(self, tx: Transaction) -> Next:
        if self.number.endswith("/3"):
            raise tieout.Refused("no third parcel")
        return self.send.next()

    @tieout.call(timeout=1)
    async def send(self, send: Sending) -> Answer[str]:
        return await self.deps.answer("send", send)

    @send.succeeded(to="gone")
    async def went(self, tx: Transaction, value: str) -> Next:
        return self.gone(value)

    @send.failed(to="lost")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.lost(why.code)
