"""A process type of every kind of state, with children of another type."""

from __future__ import annotations

import tieout
from tieout import Answer, Cancelled, ChildrenEnded, Failed, Next, Sending, Succeeded, Transaction


class Trip(tieout.Process[None], name="trip", key="number"):
    """Books a flight and a room at a time, waits a week, then sends a letter to each traveller."""

    number: str
    travellers: int

    done = tieout.Final[str]()
    undone = tieout.Final[str]()

    @tieout.start(to="book")
    async def begin(self, tx: Transaction) -> Next:
        return self.book.next(fly=self.fly.next(seats=self.travellers), send=self.send.next())

    @tieout.call(timeout=1, query_after=2)
    async def fly(self, send: Sending, seats: int) -> Answer[str]:
        return Succeeded(f"{seats} seats")

    @tieout.call(timeout=1, query_after=2)
    async def send(self, send: Sending) -> Answer[str]:
        return Succeeded("confirmed")

    @tieout.join(to=("rest", "undone"))
    async def book(self, tx: Transaction, fly: Succeeded[str] | Failed, send: Succeeded[str] | Failed) -> Next:
        if isinstance(fly, Failed) or isinstance(send, Failed):
            return self.undone("not booked")
        return self.rest.next("7d", booked=fly.value)

    @tieout.timer(to="write")
    async def rest(self, tx: Transaction, booked: str) -> Next:
        return self.write.next([Letter(number=f"{self.number}/{n}") for n in range(self.travellers)])

    @tieout.children(to="done")
    async def write(self, tx: Transaction, ended: ChildrenEnded) -> Next:
        return self.done(", ".join(f"{final} {count}" for final, count in sorted(ended.counts.items())))

    @tieout.cancel(to="undone")
    async def undo(self, tx: Transaction, wish: Cancelled) -> Next:
        return self.undone(f"{wish.reason} at {wish.state}")


class Letter(tieout.Process[None], name="letter", key="number"):
    """One letter; the post has a call step of the same name as the trip."""

    number: str

    sent = tieout.Final[str]()
    lost = tieout.Final[str]()

    @tieout.start(to="send")
    async def begin(self, tx: Transaction) -> Next:
        return self.send.next()

    @tieout.call(timeout=1, query_after=2)
    async def send(self, send: Sending) -> Answer[str]:
        return Succeeded("by post")

    @send.succeeded(to="sent")
    async def went(self, tx: Transaction, value: str) -> Next:
        return self.sent(value)

    @send.failed(to="lost")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.lost(why.code)
