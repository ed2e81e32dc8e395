"""The process: points here, a prize there. Its transaction steps are given the service's own sessions."""

from __future__ import annotations

import httpx
from models import Account
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Pending, Sending, Succeeded, Unknown

PRICE = 100


class Prizes:
    """The prize service's HTTP interface. Only a clear answer is an outcome."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def issue(self, key: str, sku: str) -> Answer[str]:
        """Ask for a prize under this key."""
        try:
            return read(await self.http.put(f"/prizes/{key}", json={"sku": sku}))
        except httpx.ConnectError as error:
            raise tieout.NotSent(str(error)) from error

    async def find(self, key: str) -> Found[str]:
        """Ask what became of this key."""
        answer = await self.http.get(f"/prizes/{key}")
        return NotFound() if answer.status_code == 404 else read(answer)


def read(answer: httpx.Response) -> Answer[str]:
    """What an answer means."""
    match answer.status_code:
        case 200:
            return Succeeded(answer.json()["code"])
        case 202:
            return Pending()
        case 410:
            return Failed("sold_out")
        case status:
            return Unknown(f"status {status}", answer.text)


class Redeem(tieout.Process[Prizes], name="redeem", key="request_id", owner="user"):
    """Exchange points for a prize: both move, once."""

    request_id: str
    user: str
    sku: str

    completed = tieout.Final[str]()
    refunded = tieout.Final[str]()

    @tieout.start(to="issue")
    async def deduct(self, tx: AsyncSession) -> Next:
        """Take the points, or refuse."""
        enough = update(Account).where(Account.name == self.user, Account.points >= PRICE)
        taken = await tx.execute(enough.values(points=Account.points - PRICE).returning(Account.name))
        if taken.first() is None:
            raise tieout.Refused("not enough points")
        return self.issue.next(sku=self.sku)

    @tieout.call(timeout=2, query_after=5, key_valid="24h")
    async def issue(self, send: Sending, sku: str) -> Answer[str]:
        """Ask for the prize."""
        return await self.deps.issue(send.key, sku)

    @issue.query
    async def find(self, send: Sending, sku: str) -> Found[str]:
        """Ask what became of it."""
        return await self.deps.find(send.key)

    @issue.succeeded(to="completed")
    async def complete(self, tx: AsyncSession, prize: str) -> Next:
        """Both sides have moved."""
        return self.completed(prize)

    @issue.failed(to="refunded")
    async def refund(self, tx: AsyncSession, why: Failed) -> Next:
        """Give the points back."""
        account = await tx.get_one(Account, self.user, with_for_update=True)
        account.points += PRICE
        return self.refunded(why.code)
