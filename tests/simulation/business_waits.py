"""More of the business: exchanges that wait for several things at a time.

Trip   two calls at a time, one to a downstream that knows repeats and one that does not; then a rest, before it is
       final; until then it can be cancelled. One of the calls sends what was looked up when it was first tried.
Party  messages to several guests, each a process of its own.
"""

from __future__ import annotations

from tests.simulation.business import Message, Prize, Wire, answer, give_back, record, take
from tests.simulation.scheduler import SECOND
from tieout.contracts import Transaction
from tieout.process.define import Final, Next, call, snapshot, start
from tieout.process.outcomes import Answer, Failed, Found, Succeeded
from tieout.process.process import Process
from tieout.process.sending import Sending
from tieout.process.waits import Cancelled, ChildrenEnded, cancel, children, join, timer

GUESTS = 2


class Trip(Process[Wire], name="trip", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[Prize]()
    refunded = Final[str]()
    cancelled = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="book")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.book.next(seat=self.seat.next(sku=self.sku), bed=self.bed.next(sku=self.sku))

    @call(timeout=2, query_after=3, key_valid=60, identity=["code"], echo={"sku": "sku"}, lane="prizes", retry_cap=12)
    async def seat(self, send: Sending, sku: str) -> Answer[Prize]:
        over = await self.deps.rate() + 2 * SECOND
        rate = await send.recall("rate", self.deps.rate)
        left = (over - await self.deps.rate()) / SECOND
        return answer(await self.deps.send("prizes", send.key, {"sku": sku, "user": self.user, "rate": rate}, left))

    @seat.query
    async def find_seat(self, send: Sending, sku: str) -> Found[Prize]:
        return answer(await self.deps.ask("prizes", send.key))

    @call(timeout=2, query_after=4, settle=8, identity=["code"], idempotent=False, lane="parcels", retry_cap=12)
    async def bed(self, send: Sending, sku: str) -> Answer[Prize]:
        return answer(await self.deps.send("parcels", send.key, {"sku": sku, "user": self.user}, 2))

    @bed.query
    async def find_bed(self, send: Sending, sku: str) -> Found[Prize]:
        return answer(await self.deps.ask("parcels", send.key))

    @join(to=("rest", "refunded"))
    async def book(self, tx: Transaction, seat: Succeeded[Prize] | Failed, bed: Succeeded[Prize] | Failed) -> Next:
        self.deps.stumble("book")
        if isinstance(seat, Failed) or isinstance(bed, Failed):
            await give_back(tx, self.id, self.user, self.price * self.quantity)
            return self.refunded("not all of it")
        return self.rest.next(3, code=seat.value.code)

    @timer(to="completed")
    async def rest(self, tx: Transaction, code: str) -> Next:
        await record(tx, self.id, "complete", code)
        self.deps.stumble("rest")
        return self.completed(Prize(code, self.sku))

    @cancel(to="cancelled")
    async def undo(self, tx: Transaction, wish: Cancelled) -> Next:
        await give_back(tx, self.id, self.user, self.price * self.quantity)
        return self.cancelled(wish.reason)


class Party(Process[Wire], name="party", key="request_id", owner="user"):
    request_id: str
    user: str
    sku: str
    quantity: int
    house_first: bool = False
    completed = Final[str]()

    @snapshot
    async def price(self) -> int:
        return await self.deps.price(self.sku)

    @start(to="invite")
    async def deduct(self, tx: Transaction) -> Next:
        await take(tx, self.id, self.user, self.price * self.quantity, self.house_first)
        return self.invite.next(guests(self.id, self.user, self.sku))

    @children(to="completed")
    async def invite(self, tx: Transaction, ended: ChildrenEnded) -> Next:
        self.deps.stumble("invite")
        told = ",".join(sorted(f"{end.final}" for end in ended.ended))
        await record(tx, self.id, "complete", told)
        return self.completed(told)


def guests(party: str, user: str, sku: str) -> list[Message]:
    """The children of a party."""
    return [Message(request_id=f"{party}/{n}", user=user, sku=sku, quantity=1) for n in range(GUESTS)]
