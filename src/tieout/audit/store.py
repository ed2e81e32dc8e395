"""Audit rows in the user's database: written in the transaction of what they tell of, each chained to the last."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tieout.audit.rules import AuditRow, Head, row_digest
from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.errors import RetryTransaction, SchemaMismatch
from tieout.identity import encode_json


class AuditStore:
    """The audit over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.audit", dialect)

    async def add(
        self, tx: Transaction, *, actor: str, action: str, target: str, reason: str, detail: dict[str, Any]
    ) -> None:
        """Write one row, behind the last one of the chain.

        Until the transaction ends no other one adds a row: let this be the last that it does, so that it holds nobody
        up for long, and waits for nothing that somebody else holds who waits for the chain.
        """
        head = await self.lock_head(tx)
        row = AuditRow(
            0, head.now, actor, action, target, reason, encode_json(detail), head.number + 1, previous=head.digest
        )
        row = replace(row, digest=row_digest(row))
        await tx.execute(
            self.sql.add_audit,
            at=row.at,
            actor=row.actor,
            action=row.action,
            object=row.object,
            reason=row.reason,
            detail=row.detail,
            number=row.number,
            previous=row.previous,
            digest=row.digest,
        )
        if await tx.execute(self.sql.move_audit_head, number=row.number, digest=row.digest) != 1:
            raise RetryTransaction("somebody else has added to the audit")

    async def lock_head(self, tx: Transaction) -> Head:
        """The end of the chain, which nobody else moves until the transaction ends."""
        return _head(await tx.fetch_one(self.sql.lock_audit_head))

    async def head(self, tx: Transaction) -> Head:
        """The end of the chain."""
        return _head(await tx.fetch_one(self.sql.read_audit_head))

    async def page(
        self, tx: Transaction, *, target: str = "", actor: str = "", action: str = "", before: int, limit: int
    ) -> list[AuditRow]:
        """What was done, newest first, before the row `before`; empty filters mean any."""
        rows = await tx.fetch(
            self.sql.list_audit, object=target, actor=actor, action=action, before=before, limit=limit
        )
        return [_row(row) for row in rows]

    async def of(self, tx: Transaction, target: str) -> list[AuditRow]:
        """What was done to one object, oldest first."""
        return [_row(row) for row in await tx.fetch(self.sql.audit_of, object=target)]

    async def numbered(self, tx: Transaction, number: int) -> AuditRow | None:
        """The row at this place of the chain, or None."""
        row = await tx.fetch_one(self.sql.audit_numbered, number=number)
        return None if row is None else _row(row)

    async def following(self, tx: Transaction, *, after: int, last: int, limit: int) -> list[AuditRow]:
        """Rows behind the one with `seq` `after`, oldest first, without those of the chain behind number `last`."""
        rows = await tx.fetch(self.sql.audit_following, after=after, last=last, limit=limit)
        return [_row(row) for row in rows]


def _row(row: Any) -> AuditRow:
    seq, at, actor, action, target, reason, detail, number, previous, digest = row
    return AuditRow(seq, at, actor, action, target, reason, detail, number, _bytes(previous), _bytes(digest))


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _head(row: Any) -> Head:
    if row is None:
        raise SchemaMismatch("the audit's chain has lost its head: the row of tieout_audit_head is gone")
    number, digest, since, now = row
    return Head(number, bytes(digest), since, now)
