"""The inbox: which messages were taken in, remembered in the transaction of what they caused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tieout.config import microseconds
from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.identity import key_bytes

First: TypeAlias = Callable[[Transaction], Awaitable[bool]]
"""`Inbox.once` of one message: notes in a transaction that it was taken in; False when it was before."""

PURGE_BATCH = 500
"""Messages forgotten in one transaction: short enough that nobody waits for it."""


class Inbox:
    """Takes each message in once: a redelivered one causes nothing.

    keep    how long a message is remembered: longer than its sender, or the broker, may deliver it again
    """

    def __init__(self, dialect: str, *, keep: float | str = "30d") -> None:
        self.sql = load("tieout.messages", dialect)
        self._keep = microseconds(keep)

    async def once(self, tx: Transaction, source: str, message_id: str) -> bool:
        """True for the first delivery of this message, False for every other one: then do nothing and acknowledge.

        It counts as taken in when `tx` commits; when it rolls back, the next delivery is the first again. While
        another transaction is taking the same message in, this waits for its end. Source and id are 1 to 255 bytes of
        UTF-8, compared byte by byte: name the queue or sender in the source, so that their ids do not meet. Raise
        `InvalidKey` for anything else.
        """
        sender, key = key_bytes(source, "source"), key_bytes(message_id, "message id")
        return await tx.execute(self.sql.take_in, source=sender, message_id=key, keep=self._keep) == 1

    async def knows(self, tx: Transaction, source: str, message_id: str) -> bool:
        """Whether this message was taken in before."""
        sender, key = key_bytes(source, "source"), key_bytes(message_id, "message id")
        return await tx.fetch_one(self.sql.is_known, source=sender, message_id=key) is not None

    async def purge(self, tx: Transaction) -> int:
        """Forget messages that were remembered for long enough, at most `PURGE_BATCH`; how many."""
        return await tx.execute(self.sql.purge_inbox, limit=PURGE_BATCH)

    async def purge_all(self, transact: Callable[[Callable[[Transaction], Awaitable[int]]], Awaitable[int]]) -> None:
        """Forget all such messages, a batch in each transaction."""
        while await transact(self.purge) == PURGE_BATCH:
            pass
