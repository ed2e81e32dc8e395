"""Answers on PostgreSQL and SQLite: a lock claims a key, and its row comes last."""

from __future__ import annotations

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.once.rules import Request
from tieout.once.store import Claim, OnceStore
from tieout.payloads import PLAIN, Payloads

NEW = Claim(free=True, stored=None)
"""Of a key that nobody is at work on, and that has no answer."""


class LockFirst(OnceStore):
    """The claim tells duplicates early that they are some. It may miss an answer that is committed just then."""

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(dialect, payloads)
        self.claims = load("tieout.once.lock_first", dialect)

    async def claim(self, tx: Transaction, request: Request, keep: int) -> Claim:
        sql = self.claims
        row = await tx.fetch_one(sql.claim_key, id=request.id)
        # Most keys are new: theirs is the one round trip, and nothing of an answer comes with it.
        if row is None:
            return NEW
        free, kept = row
        return Claim(bool(free), await self.read(tx, request.id) if kept else None)
