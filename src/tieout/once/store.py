"""Answers in the user's database: one typed function for each statement, but for how a request is claimed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from tieout.contracts import Param, Transaction
from tieout.database.query import load
from tieout.once.rules import Kept, Request, Stored
from tieout.payloads import PLAIN, Payloads


class Claim(NamedTuple):
    """Whether nobody else is at work on an id, and what is stored under it."""

    free: bool
    stored: Stored | None


class OnceStore(ABC):
    """Answers over named SQL."""

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        self.sql = load("tieout.once", dialect)
        self._payloads = payloads

    def encoded(self, kept: Kept) -> Kept:
        """An answer as it is given to `add`."""
        if kept.headers is None or kept.body is None:
            answer = self._payloads.stored(kept.answer)
            return kept if answer is kept.answer else Kept(answer)
        headers, body = self._payloads.stored_message(kept.headers, kept.body)
        return kept if body is kept.body else Kept(None, kept.status, headers, body)

    @abstractmethod
    async def claim(self, tx: Transaction, request: Request, keep: int) -> Claim:
        """Be at work on a request until this transaction ends, unless another one is; read what is stored for it.

        Never wait for it. `keep` is for how many microseconds its answer will be stored.
        """

    async def keep(self, tx: Transaction, request: Request, kept: Kept, keep: int) -> bool:
        """Store the answer for `keep` microseconds; False when there is one, then nothing was written.

        It waits for another transaction that has stored one under this id and has not ended.
        """
        return await tx.execute(self.sql.keep_answer, **_row(request, kept, keep)) == 1

    async def add(self, tx: Transaction, request: Request, kept: Kept, keep: int) -> None:
        """Store the `encoded` answer of a request that was claimed, and nothing after it in this transaction.

        Raise `UniqueViolation` when there is one. Cheaper than to be told so.
        """
        sql, of = self.sql, request
        if kept.status is None:
            await tx.execute(
                sql.add_answer,
                id=of.id,
                scope=of.scope,
                owner=of.owner,
                request_key=of.key,
                fingerprint=of.fingerprint,
                answer=kept.answer,
                keep=keep,
            )
            return
        await tx.execute(
            sql.add_response,
            id=of.id,
            scope=of.scope,
            owner=of.owner,
            request_key=of.key,
            fingerprint=of.fingerprint,
            status=kept.status,
            headers=kept.headers,
            body=kept.body,
            keep=keep,
        )

    async def read(self, tx: Transaction, request: bytes) -> Stored | None:
        """What is stored under an id, as committed before this statement."""
        row = await tx.fetch_one(self.sql.read_answer, id=request)
        return None if row is None else self._stored(row)

    def _stored(self, row: Iterable[Any]) -> Stored:
        scope, owner, key, fingerprint, answer, status, headers, body = row
        if headers is not None:
            headers, body = self._payloads.read_message(headers, body)
        return Stored(scope, owner, key, fingerprint, Kept(self._payloads.read(answer), status, headers, body))

    async def is_at_work(self, tx: Transaction, request: bytes) -> bool:
        """Whether another transaction has claimed this id and has not ended; claims nothing itself."""
        row = await tx.fetch_one(self.sql.is_at_work, id=request)
        return row is not None and bool(row[0])

    async def purge(self, tx: Transaction, limit: int) -> int:
        """Forget answers that were kept for long enough, at most `limit`; how many."""
        return await tx.execute(self.sql.purge_answers, limit=limit)


def _row(request: Request, kept: Kept, keep: int) -> dict[str, Param]:
    return {
        "id": request.id,
        "scope": request.scope,
        "owner": request.owner,
        "request_key": request.key,
        "fingerprint": request.fingerprint,
        "answer": kept.answer,
        "status": kept.status,
        "headers": kept.headers,
        "body": kept.body,
        "keep": keep,
    }
