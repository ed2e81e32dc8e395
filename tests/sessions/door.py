"""One way to an App of either colour, for tests that are the same for both."""

from __future__ import annotations

import asyncio
from typing import Any

import tieout
from tests.process import place as process_place
from tests.process.place import Place
from tests.process.shop import Prize, Shop, redeem
from tests.sessions.kinds import Given, Kind, in_thread
from tieout import Answer, Failed, Found, Next, Sending, blocking
from tieout.database.driving import drive

REDEEM = redeem()


def at_once(scripted: Any) -> Any:
    """What a scripted coroutine of the shop gives, which waits for nothing."""
    return drive(scripted)


class PlainRedeem(tieout.Process[Shop], name="redeem", key="request_id", owner="user"):
    """The process of `tests.process.shop`, for an App without an event loop."""

    request_id: str
    user: str
    sku: str = "mug"
    quantity: int = 1

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.snapshot
    def price(self) -> int:
        return at_once(self.deps.do("price", 10))

    @tieout.start(to=("issue", "refunded"))
    def deduct(self, tx: blocking.Transaction) -> Next:
        cost = self.price * self.quantity
        guarded = "UPDATE account SET points = points - :cost WHERE name = :user AND points >= :cost"
        if not tx.execute(guarded, cost=cost, user=self.user):
            raise tieout.Refused("no points")
        note(tx, self.id, "deduct")
        return at_once(self.deps.step("deduct", self.issue.next(sku=self.sku, quantity=self.quantity)))

    @tieout.call(timeout=2, query_after=60, settle=120, identity=["code"])
    def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
        return at_once(self.deps.issue(send, sku=sku, quantity=quantity))

    @issue.query
    def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
        return at_once(self.deps.find(send))

    @issue.succeeded(to="completed")
    def complete(self, tx: blocking.Transaction, prize: Prize) -> Next:
        note(tx, self.id, "complete")
        return self.completed(prize)

    @issue.failed(to="refunded")
    def refund(self, tx: blocking.Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


def note(tx: blocking.Transaction, process: str, what: str) -> None:
    tx.execute("INSERT INTO posting (process, what, points) VALUES (:process, :what, 0)", process=process, what=what)


class Door:
    """An App of a kind's colour, open on a place, and another one that looks at what there is."""

    def __init__(self, kind: Kind, place: Place, shop: Shop) -> None:
        self.kind = kind
        self.place = place
        self.shop = shop
        self.app: Any = None
        self.watch: tieout.App = None  # type: ignore[assignment] # until it is opened

    async def open(self) -> Door:
        if self.kind.blocking:
            self.watch = await self.place.open()
            self.app = blocking.App(self.place.url, deps=self.shop, sweep=False)
            self.app.register(PlainRedeem)
            await asyncio.to_thread(self.app.__enter__)
        else:
            self.app = self.watch = await self.place.open(REDEEM, shop=self.shop)
        return self

    async def close(self) -> None:
        if self.kind.blocking:
            await asyncio.to_thread(self.app.close)

    async def run(self, work: Any, **options: Any) -> Any:
        """Run work in one transaction of the user's."""
        if not self.kind.blocking:
            async with self.kind.opened(**({"url": self.place.url} | options)) as (tx, execute):
                return await work(Given(self.app, tx, execute, blocking=False))

        def thread() -> Any:
            with self.kind.opened(**({"url": self.place.url} | options)) as (tx, execute):
                return drive(work(Given(self.app, tx, execute, blocking=True)))

        return await in_thread(thread)

    def request(self, **params: Any) -> Any:
        kind = PlainRedeem if self.kind.blocking else REDEEM
        return kind(**({"request_id": "r1", "user": "ann"} | params))

    async def nudge(self, process: str) -> bool:
        return await self._do("nudge", process)

    async def start(self, **params: Any) -> Any:
        """Start a process in a transaction of the App's own, and wait for its end."""
        return await self._do("start", self.request(**params), wait=60)

    async def ended(self, process: str) -> Any:
        return await self._do("wait", process, 5)

    async def sweep(self) -> int:
        """One round, to its end; how many were claimed."""
        worker = self.app.core.worker if self.kind.blocking else self.app.worker
        claimed = await (asyncio.to_thread(drive, worker.sweep()) if self.kind.blocking else worker.sweep())
        await self.rest()
        return claimed

    async def rest(self) -> None:
        worker = self.app.core.worker if self.kind.blocking else self.app.worker
        await asyncio.sleep(0)
        await process_place.until(lambda: worker.in_flight == 0)

    async def rows(self, sql: str, **params: Any) -> list[Any]:
        return await process_place.rows(self.watch, sql, **params)

    async def count(self) -> int:
        return (await self.rows("SELECT count(*) FROM tieout_process"))[0][0]

    async def points(self, user: str = "ann") -> int:
        return await process_place.points(self.watch, user)

    async def users(self) -> list[str]:
        """What the user has written."""
        return await process_place.changes(self.watch, "user")

    async def _do(self, name: str, *args: Any, **options: Any) -> Any:
        method = getattr(self.app, name)
        if self.kind.blocking:
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)
