"""Pay a bill through a bank that may not answer. Run it as often as you like: the bill is paid once.

python pay_bill.py bill-17 900 https://bank.example
"""

from __future__ import annotations

import asyncio
import sys

import httpx

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Pending, Sending, Succeeded, Transaction, Unknown

SCHEMA = "CREATE TABLE IF NOT EXISTS ledger (bill TEXT PRIMARY KEY, amount INTEGER NOT NULL, receipt TEXT)"


class Bank:
    """The bank's HTTP interface. Only a clear answer is an outcome; whatever else comes is unknown."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def pay(self, key: str, amount: int) -> Answer[str]:
        """Ask for a payment under this key."""
        try:
            return read(await self.http.put(f"/payments/{key}", json={"amount": amount}))
        except httpx.ConnectError as error:
            raise tieout.NotSent(str(error)) from error

    async def find(self, key: str) -> Found[str]:
        """Ask what became of this key."""
        answer = await self.http.get(f"/payments/{key}")
        return NotFound() if answer.status_code == 404 else read(answer)


def read(answer: httpx.Response) -> Answer[str]:
    """What the bank's answer means."""
    match answer.status_code:
        case 200:
            return Succeeded(answer.json()["receipt"])
        case 202:
            return Pending()
        case 402:
            return Failed("no_money")
        case status:
            return Unknown(f"status {status}", answer.text)


class PayBill(tieout.Process[Bank], name="pay-bill", key="number"):
    """The ledger and the bank end with the same result."""

    number: str
    amount: int

    paid = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="pay")
    async def book(self, tx: Transaction) -> Next:
        """Write it down before the bank hears of it."""
        sql = "INSERT INTO ledger (bill, amount) VALUES (:bill, :amount)"
        await tx.execute(sql, bill=self.number, amount=self.amount)
        return self.pay.next(amount=self.amount)

    @tieout.call(timeout=2, query_after=1, key_valid="24h")
    async def pay(self, send: Sending, amount: int) -> Answer[str]:
        """Ask the bank; an exception means that it may have paid."""
        return await self.deps.pay(send.key, amount)

    @pay.query
    async def find(self, send: Sending, amount: int) -> Found[str]:
        """Asked before anything is sent again."""
        return await self.deps.find(send.key)

    @pay.succeeded(to="paid")
    async def note(self, tx: Transaction, receipt: str) -> Next:
        """Keep the receipt."""
        await tx.execute("UPDATE ledger SET receipt = :receipt WHERE bill = :bill", receipt=receipt, bill=self.number)
        return self.paid(receipt)

    @pay.failed(to="refused")
    async def strike(self, tx: Transaction, why: Failed) -> Next:
        """Take it out of the ledger."""
        await tx.execute("DELETE FROM ledger WHERE bill = :bill", bill=self.number)
        return self.refused(why.code)


async def main(number: str, amount: int, bank: str) -> None:
    """Pay one bill, or go on where the last run was stopped."""
    async with httpx.AsyncClient(base_url=bank) as http:
        app = tieout.App("sqlite:///bills.db", deps=Bank(http))
        app.register(PayBill)
        async with app:
            await app.database.transact(lambda tx: tx.execute(SCHEMA))
            bill = await app.start(PayBill(number=number, amount=amount), wait="1m")
            print(f"{number}: {bill.state} {bill.result}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
