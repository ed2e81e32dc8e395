"""An order: payment and shipment at a time, undone when one of them fails or the customer changes her mind."""

from __future__ import annotations

from typing import Protocol

import msgspec

import tieout
from tieout import Answer, Cancelled, Failed, Found, Next, Sending, Succeeded, Transaction

SCHEMA = "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, pieces INTEGER NOT NULL)"

Outcome = Succeeded[str] | Failed


class Shop(Protocol):
    """The companies that the shop works with. Each does a thing once for each key, and can be asked by key."""

    async def do(self, what: str, send: Sending, **args: str | int) -> Answer[str]: ...
    async def find(self, what: str, send: Sending) -> Found[str]: ...


class Fulfilled(msgspec.Struct, frozen=True):
    """What the customer is told."""

    receipt: str
    parcel: str


class Order(tieout.Process[Shop], name="order", key="number"):
    """Paid and shipped, or neither; `stuck` when something could not be taken back, which is for a person."""

    number: str
    sku: str
    amount: int
    address: str

    fulfilled = tieout.Final[Fulfilled]()
    undone = tieout.Final[str]()
    stuck = tieout.Final[str]()

    @tieout.start(to="fulfil")
    async def place(self, tx: Transaction) -> Next:
        """Take one from the stock, and begin both."""
        taken = "UPDATE stock SET pieces = pieces - 1 WHERE sku = :sku AND pieces > 0"
        if not await tx.execute(taken, sku=self.sku):
            raise tieout.Refused("sold out")
        return self.fulfil.next(pay=self.pay.next(amount=self.amount), ship=self.ship.next(address=self.address))

    @tieout.call(timeout=2, query_after=5, key_valid="24h")
    async def pay(self, send: Sending, amount: int) -> Answer[str]:
        """Ask for the money."""
        return await self.deps.do("pay", send, amount=amount)

    @pay.query
    async def find_payment(self, send: Sending, amount: int) -> Found[str]:
        """Ask what became of it."""
        return await self.deps.find("pay", send)

    @tieout.call(timeout=2, query_after=5, key_valid="24h")
    async def ship(self, send: Sending, address: str) -> Answer[str]:
        """Send the parcel."""
        return await self.deps.do("ship", send, address=address)

    @ship.query
    async def find_parcel(self, send: Sending, address: str) -> Found[str]:
        """Ask what became of it."""
        return await self.deps.find("ship", send)

    @tieout.join(to=("fulfilled", "undo", "undone"))
    async def fulfil(self, tx: Transaction, pay: Outcome, ship: Outcome) -> Next:
        """Both have ended: now it is known what there is to undo."""
        if isinstance(pay, Succeeded) and isinstance(ship, Succeeded):
            return self.fulfilled(Fulfilled(pay.value, ship.value))
        return await self.take_back(tx, pay, ship)

    @tieout.call(timeout=2, key_valid="7d")
    async def refund(self, send: Sending, receipt: str) -> Answer[str]:
        """Give the money back."""
        return await self.deps.do("refund", send, receipt=receipt)

    @tieout.call(timeout=2, key_valid="7d")
    async def turn_back(self, send: Sending, parcel: str) -> Answer[str]:
        """Stop the parcel on its way."""
        return await self.deps.do("turn back", send, parcel=parcel)

    @tieout.join(to=("undone", "stuck"))
    async def undo(self, tx: Transaction, refund: Outcome | None, turn_back: Outcome | None) -> Next:
        """All that had to be undone has been tried."""
        return self.ended(refund, turn_back)

    @tieout.cancel(to=("undo", "undone", "stuck"))
    async def call_off(self, tx: Transaction, wish: Cancelled) -> Next:
        """Undo what has succeeded by now; what is being undone already goes on to its end."""
        if wish.state == "undo":
            return self.ended(wish.outcomes.get("refund"), wish.outcomes.get("turn_back"))
        return await self.take_back(tx, wish.outcomes.get("pay"), wish.outcomes.get("ship"))

    async def take_back(self, tx: Transaction, pay: Outcome | None, ship: Outcome | None) -> Next:
        """Put the piece back, and undo what was done elsewhere."""
        await tx.execute("UPDATE stock SET pieces = pieces + 1 WHERE sku = :sku", sku=self.sku)
        calls = {}
        if isinstance(pay, Succeeded):
            calls["refund"] = self.refund.next(receipt=pay.value)
        if isinstance(ship, Succeeded):
            calls["turn_back"] = self.turn_back.next(parcel=ship.value)
        return self.undo.next(**calls) if calls else self.undone("nothing had been done")

    def ended(self, *undone: Outcome | None) -> Next:
        """Undone, unless one of the two said no."""
        failed = [outcome.code for outcome in undone if isinstance(outcome, Failed)]
        return self.stuck(", ".join(failed)) if failed else self.undone("taken back")
