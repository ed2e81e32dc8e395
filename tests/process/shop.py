"""A small business whose downstream does as it is told, and the process types that the tests run on it."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import Annotated, Any

import msgspec

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction

TABLES = (
    "CREATE TABLE IF NOT EXISTS account (name VARCHAR(100) PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS posting (process TEXT NOT NULL, what TEXT NOT NULL, points BIGINT NOT NULL)",
)
POINTS = 1_000
"""What an account has at first."""


class Prize(msgspec.Struct):
    """What the downstream answers."""

    code: str
    sku: str = "mug"
    note: str | None = None


class Lost:
    """No answer comes, for as long as the test runs."""


class Late:
    """An answer that comes once the test says so."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.go = asyncio.Event()


class Shop:
    """The downstream and its script. What a step or a method is not scripted to do, it does as on a good day."""

    def __init__(self) -> None:
        self.sent: list[Sending] = []
        self.asked: list[Sending] = []
        self.orders: list[dict[str, Any]] = []
        self.looked_up = 0
        self.steps: list[str] = []
        self._scripts: defaultdict[str, deque[Any]] = defaultdict(deque)

    def will(self, what: str, *answers: Any) -> None:
        """Script "issue", "find", "price" or a step: an answer, an exception to raise, `Lost()` or `Late(...)`."""
        self._scripts[what].extend(answers)

    async def do(self, what: str, otherwise: Any) -> Any:
        """What comes next of a script; transaction steps are scripted with plain answers and exceptions only."""
        script = self._scripts[what]
        answer = script.popleft() if script else otherwise
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Late):
            await answer.go.wait()
            return answer.answer
        if isinstance(answer, Lost):
            await asyncio.Event().wait()
        return answer

    async def issue(self, send: Sending, **args: Any) -> Any:
        """The call."""
        self.sent.append(send)
        self.orders.append(args)
        return await self.do("issue", Succeeded(Prize("A1")))

    async def find(self, send: Sending) -> Any:
        """The query."""
        self.asked.append(send)
        return await self.do("find", NotFound())

    async def step(self, name: str, moved: Next) -> Next:
        """A transaction step, just before it returns."""
        self.steps.append(name)
        return await self.do(name, moved)


async def take_points(tx: Transaction, user: str, cost: int, process: str) -> None:
    """The business write of a start step; raise `Refused` when the account has not enough."""
    took = await tx.execute(
        "UPDATE account SET points = points - :cost WHERE name = :user AND points >= :cost", cost=cost, user=user
    )
    if not took:
        raise tieout.Refused("no points")
    await note(tx, process, "deduct", cost)


async def note(tx: Transaction, process: str, what: str, points: int = 0) -> None:
    """Write what a step did; nothing in the table makes that happen only once."""
    await tx.execute(
        "INSERT INTO posting (process, what, points) VALUES (:process, :what, :points)",
        process=process,
        what=what,
        points=points,
    )


def redeem(
    *, name: str = "redeem", version: int = 1, deadline: str | None = None, query: bool = True, **options: Any
) -> Any:
    """A process type of its own; `options` are those of its call, which has no query when `query` is False."""
    options = {"timeout": 0.05, "query_after": 60, "settle": 120, "identity": ["code"]} | options

    class Redeem(tieout.Process[Shop], name=name, key="request_id", owner="user", version=version, deadline=deadline):
        request_id: str
        user: str
        sku: str = "mug"
        quantity: int = 1
        channel: Annotated[str, tieout.volatile] = "web"

        completed = tieout.Final[Prize]()
        refunded = tieout.Final[str]()

        @tieout.snapshot
        async def price(self) -> int:
            self.deps.looked_up += 1
            return await self.deps.do("price", 10)

        @tieout.start(to=("issue", "refunded"))
        async def deduct(self, tx: Transaction) -> Next:
            await take_points(tx, self.user, self.price * self.quantity, self.id)
            return await self.deps.step("deduct", self.issue.next(sku=self.sku, quantity=self.quantity))

        @tieout.call(**options)
        async def issue(self, send: Sending, sku: str, quantity: int) -> Answer[Prize]:
            return await self.deps.issue(send, sku=sku, quantity=quantity)

        if query:

            @issue.query
            async def find(self, send: Sending, sku: str, quantity: int) -> Found[Prize]:
                return await self.deps.find(send)

        @issue.succeeded(to="completed")
        async def complete(self, tx: Transaction, prize: Prize) -> Next:
            await note(tx, self.id, "complete")
            return await self.deps.step("complete", self.completed(prize))

        @issue.failed(to="refunded")
        async def refund(self, tx: Transaction, why: Failed) -> Next:
            await note(tx, self.id, "refund", -self.price * self.quantity)
            return await self.deps.step("refund", self.refunded(why.code))

    return Redeem
