"""A process with every kind of transaction step, in both colours; each step writes through the session it is given."""

from __future__ import annotations

from typing import Any

import tieout
from tieout import Answer, Cancelled, ChildrenEnded, Failed, Found, Next, Sending, Succeeded

STEPS = ("start", "both", "pause", "kids", "kid", "finish")
"""The steps of a trip that ends well."""


class Guide:
    """What the steps use: how to write through a session, and what they were given."""

    def __init__(self, write: Any) -> None:
        self.write = write
        self.given: list[Any] = []
        self.raises: dict[str, Exception] = {}
        self.last: Any = Succeeded("done")

    def step(self, tx: Any, process: str, name: str) -> Any:
        """Write that a step was run; raise what it is told to, once."""
        self.given.append(tx)
        written = self.write(tx, process, name)
        if name in self.raises:
            error = self.raises.pop(name)
            if hasattr(written, "close"):
                written.close()
            raise error
        return written


class Kid(tieout.Process[Guide], name="kid", key="key"):
    key: str
    done = tieout.Final[None]()

    @tieout.start(to="done")
    async def begin(self, tx: Any) -> Next:
        await self.deps.step(tx, self.id, "kid")
        return self.done(None)


class Trip(tieout.Process[Guide], name="trip", key="key"):
    key: str
    done = tieout.Final[str]()
    undone = tieout.Final[str]()
    cancelled = tieout.Final[str]()

    @tieout.start(to="both")
    async def begin(self, tx: Any) -> Next:
        await self.deps.step(tx, self.id, "start")
        return self.both.next(pay=self.pay.next(), ship=self.ship.next())

    @tieout.call(timeout=2)
    async def pay(self, send: Sending) -> Answer[str]:
        return Succeeded("paid")

    @tieout.call(timeout=2)
    async def ship(self, send: Sending) -> Answer[str]:
        return Succeeded("shipped")

    @tieout.join(to="pause")
    async def both(self, tx: Any, pay: Any, ship: Any) -> Next:
        await self.deps.step(tx, self.id, "both")
        return self.pause.next(0)

    @tieout.timer(to="kids")
    async def pause(self, tx: Any) -> Next:
        await self.deps.step(tx, self.id, "pause")
        return self.kids.next([Kid(key=self.key)])

    @tieout.children(to="last")
    async def kids(self, tx: Any, ended: ChildrenEnded) -> Next:
        await self.deps.step(tx, self.id, "kids")
        return self.last.next()

    @tieout.call(timeout=2, query_after=60)
    async def last(self, send: Sending) -> Answer[str]:
        return self.deps.last

    @last.query
    async def ask(self, send: Sending) -> Found[str]:
        return self.deps.last

    @last.succeeded(to="done")
    async def finish(self, tx: Any, what: str) -> Next:
        await self.deps.step(tx, self.id, "finish")
        return self.done(what)

    @last.failed(to="undone")
    async def undo(self, tx: Any, why: Failed) -> Next:
        await self.deps.step(tx, self.id, "undo")
        return self.undone(why.code)

    @tieout.cancel(to="cancelled")
    async def stop(self, tx: Any, wish: Cancelled) -> Next:
        await self.deps.step(tx, self.id, "stop")
        return self.cancelled(wish.reason)


class PlainKid(tieout.Process[Guide], name="kid", key="key"):
    key: str
    done = tieout.Final[None]()

    @tieout.start(to="done")
    def begin(self, tx: Any) -> Next:
        self.deps.step(tx, self.id, "kid")
        return self.done(None)


class PlainTrip(tieout.Process[Guide], name="trip", key="key"):
    key: str
    done = tieout.Final[str]()
    undone = tieout.Final[str]()
    cancelled = tieout.Final[str]()

    @tieout.start(to="both")
    def begin(self, tx: Any) -> Next:
        self.deps.step(tx, self.id, "start")
        return self.both.next(pay=self.pay.next(), ship=self.ship.next())

    @tieout.call(timeout=2)
    def pay(self, send: Sending) -> Answer[str]:
        return Succeeded("paid")

    @tieout.call(timeout=2)
    def ship(self, send: Sending) -> Answer[str]:
        return Succeeded("shipped")

    @tieout.join(to="pause")
    def both(self, tx: Any, pay: Any, ship: Any) -> Next:
        self.deps.step(tx, self.id, "both")
        return self.pause.next(0)

    @tieout.timer(to="kids")
    def pause(self, tx: Any) -> Next:
        self.deps.step(tx, self.id, "pause")
        return self.kids.next([PlainKid(key=self.key)])

    @tieout.children(to="last")
    def kids(self, tx: Any, ended: ChildrenEnded) -> Next:
        self.deps.step(tx, self.id, "kids")
        return self.last.next()

    @tieout.call(timeout=2, query_after=60)
    def last(self, send: Sending) -> Answer[str]:
        return self.deps.last

    @last.query
    def ask(self, send: Sending) -> Found[str]:
        return self.deps.last

    @last.succeeded(to="done")
    def finish(self, tx: Any, what: str) -> Next:
        self.deps.step(tx, self.id, "finish")
        return self.done(what)

    @last.failed(to="undone")
    def undo(self, tx: Any, why: Failed) -> Next:
        self.deps.step(tx, self.id, "undo")
        return self.undone(why.code)

    @tieout.cancel(to="cancelled")
    def stop(self, tx: Any, wish: Cancelled) -> Next:
        self.deps.step(tx, self.id, "stop")
        return self.cancelled(wish.reason)
