"""The process: points here, a prize there. Its transaction steps are given a connection of the service's own pool."""

from __future__ import annotations

import httpx
import psycopg

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Pending, Sending, Succeeded, Unknown

PRICE = 100


class Prizes:
    """The prize service's HTTP interface. Only a clear answer is an outcome."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def issue(self, send: Sending, sku: str) -> Answer[str]:
        """Ask for a prize under this key."""
        try:
            return read(self.http.put(f"/prizes/{send.key}", json={"sku": sku}, timeout=send.timeout))
        except httpx.ConnectError as error:
            raise tieout.NotSent(str(error)) from error

    def find(self, send: Sending) -> Found[str]:
        """Ask what became of this key."""
        answer = self.http.get(f"/prizes/{send.key}", timeout=send.timeout)
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
    def deduct(self, tx: psycopg.Connection) -> Next:
        """Take the points, or refuse."""
        taken = "UPDATE account SET points = points - %s WHERE name = %s AND points >= %s"
        if not tx.execute(taken, [PRICE, self.user, PRICE]).rowcount:
            raise tieout.Refused("not enough points")
        return self.issue.next(sku=self.sku)

    @tieout.call(timeout=2, query_after=5, key_valid="24h")
    def issue(self, send: Sending, sku: str) -> Answer[str]:
        """Ask for the prize."""
        return self.deps.issue(send, sku)

    @issue.query
    def find(self, send: Sending, sku: str) -> Found[str]:
        """Ask what became of it."""
        return self.deps.find(send)

    @issue.succeeded(to="completed")
    def complete(self, tx: psycopg.Connection, prize: str) -> Next:
        """Both sides have moved."""
        return self.completed(prize)

    @issue.failed(to="refunded")
    def refund(self, tx: psycopg.Connection, why: Failed) -> Next:
        """Give the points back."""
        tx.execute("UPDATE account SET points = points + %s WHERE name = %s", [PRICE, self.user])
        return self.refunded(why.code)
