"""Answers on MySQL and MariaDB: the row of a request comes first, and its answer with the COMMIT."""

from __future__ import annotations

from hashlib import md5

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.once.rules import Kept, Request
from tieout.once.store import Claim, OnceStore
from tieout.payloads import PLAIN, Payloads


class RowFirst(OnceStore):
    """The claim writes the row without an answer, which takes no exchange of its own afterwards.

    What COMMIT makes last is there before it leaves. So whoever claims the request meanwhile waits until this
    transaction has ended, also where the answer to COMMIT is lost, or where no lock tells anything.
    """

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(dialect, payloads)
        self.claims = load("tieout.once.row_first", dialect)

    async def claim(self, tx: Transaction, request: Request, keep: int) -> Claim:
        sql = self.claims
        begun = await self._begin(tx, request, keep)
        if begun == 1:
            return Claim(free=True, stored=None)
        if (stored := await self.read(tx, request.id)) is not None:
            return Claim(free=True, stored=stored)
        # Somebody else is at work; or the row stayed without an answer, since work that alters tables commits it.
        row = await tx.fetch_one(sql.is_mine, id=request.id)
        return Claim(row is not None and bool(row[0]), None)

    async def _begin(self, tx: Transaction, of: Request, keep: int) -> int:
        """Write the row if its lock is free and there is none: 1, or 0."""
        sql = self.claims
        database = getattr(tx, "database", None)
        if database is None:  # a user's session
            return await tx.execute(
                sql.begin_row,
                id=of.id,
                scope=of.scope,
                owner=of.owner,
                request_key=of.key,
                fingerprint=of.fingerprint,
                keep=keep,
            )
        execute = getattr(tx, "execute_prepared", tx.execute)
        return await execute(
            sql.begin_named_row,
            id=of.id,
            scope=of.scope,
            owner=of.owner,
            request_key=of.key,
            fingerprint=of.fingerprint,
            keep=keep,
            lock=lock_name(database, of.id),
        )

    async def add(self, tx: Transaction, request: Request, kept: Kept, keep: int) -> None:
        sql = self.claims
        conclude = getattr(tx, "conclude", tx.execute)
        if kept.status is None:
            await conclude(sql.give_answer, id=request.id, answer=kept.answer)
        else:
            await conclude(sql.give_response, id=request.id, status=kept.status, headers=kept.headers, body=kept.body)


def lock_name(database: str, request: bytes) -> str:
    """The name of a request's lock, as the statements make it that are not given it."""
    return md5(f"tieout {database} {request.hex().upper()}".encode(), usedforsecurity=False).hexdigest()
