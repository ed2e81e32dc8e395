"""Processes in MySQL and MariaDB: what takes other statements there."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.contracts import Clock, Row, Transaction
from tieout.payloads import PLAIN, Payloads
from tieout.process.sql_store import SqlProcessStore


class MySqlProcessStore(SqlProcessStore):
    """A claim locks the rows and then writes them, since an UPDATE there returns none."""

    async def claim_rows(
        self, tx: Transaction, lanes: list[str], types: dict[str, int], share: int, lease: int, low: int
    ) -> Sequence[Row]:
        """The rows of a claim, as they are after it. When nothing is due, that takes one statement."""
        due = {str(lane) for (lane,) in await tx.fetch(self.sql.lanes_due, low=low)}
        claimed: list[Row] = []
        for lane in lanes:
            if lane in due:
                claimed += await super().claim_rows(tx, [lane], types, share, lease, low)
        await tx.execute_many(self.sql.lease_process, [{"id": row["id"], "due": row["due"]} for row in claimed])
        return claimed


def process_store(dialect: str, clock: Clock, payloads: Payloads = PLAIN) -> SqlProcessStore:
    """The store for a dialect."""
    kind = MySqlProcessStore if dialect == "mysql" else SqlProcessStore
    return kind(dialect, clock, payloads)
