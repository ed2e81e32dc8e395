"""What the composed node serves until you put your own App here: gifts, whose sender is played by a function."""

from __future__ import annotations

import asyncio
import os

import tieout
from tieout import Answer, Failed, Found, Next, NotFound, Sending, Succeeded, Transaction

app = tieout.App(os.environ["TIEOUT_DB"], migrate=False)

SENT: dict[str, str] = {}
"""What the sender has sent, by the key of the call."""


@app.register
class Gift(tieout.Process[None], name="gift", key="number"):
    """A gift that is sent, once; of `nothing` there is none."""

    number: str
    what: str

    sent = tieout.Final[str]()
    given_up = tieout.Final[str]()

    @tieout.start(to="send")
    async def begin(self, tx: Transaction) -> Next:
        """Store the wish."""
        return self.send.next(what=self.what)

    @tieout.call(timeout=5, query_after=10, lane="sender")
    async def send(self, send: Sending, what: str) -> Answer[str]:
        """Have it sent."""
        await asyncio.sleep(0.05)
        if what == "nothing":
            return Failed("sold-out")
        return Succeeded(SENT.setdefault(send.key, f"parcel-{len(SENT) + 1}"))

    @send.query
    async def find(self, send: Sending, what: str) -> Found[str]:
        """Ask what became of it."""
        return Succeeded(SENT[send.key]) if send.key in SENT else NotFound()

    @send.succeeded(to="sent")
    async def note(self, tx: Transaction, parcel: str) -> Next:
        """It is on its way."""
        return self.sent(parcel)

    @send.failed(to="given_up")
    async def give_up(self, tx: Transaction, why: Failed) -> Next:
        """There is none."""
        return self.given_up(why.code)
