"""Audit rows in the user's database, written in the transaction of what they tell of."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.identity import encode_json


class AuditRow(msgspec.Struct, frozen=True):
    """One act of a person; `at` is the server's time in microseconds, `detail` JSON."""

    seq: int
    at: int
    actor: str
    action: str
    object: str
    reason: str
    detail: str


class AuditStore:
    """The audit over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.audit", dialect)

    async def add(
        self, tx: Transaction, *, actor: str, action: str, target: str, reason: str, detail: dict[str, Any]
    ) -> None:
        """Write one row."""
        await tx.execute(
            self.sql.add_audit, actor=actor, action=action, object=target, reason=reason, detail=encode_json(detail)
        )

    async def page(
        self, tx: Transaction, *, target: str = "", actor: str = "", action: str = "", before: int, limit: int
    ) -> list[AuditRow]:
        """What was done, newest first, before the row `before`; empty filters mean any."""
        rows = await tx.fetch(
            self.sql.list_audit, object=target, actor=actor, action=action, before=before, limit=limit
        )
        return [AuditRow(*row) for row in rows]

    async def of(self, tx: Transaction, target: str) -> list[AuditRow]:
        """What was done to one object, oldest first."""
        return [AuditRow(*row) for row in await tx.fetch(self.sql.audit_of, object=target)]
