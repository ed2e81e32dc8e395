"""What a play reads of its database beside what the engine reads."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.contracts import Row, Transaction
from tieout.database.query import load


class PlayStore:
    """The next due time, and the business tables."""

    def __init__(self) -> None:
        self.sql = load("tieout.testing", "sqlite")

    async def next_due(self, tx: Transaction) -> int | None:
        """When the first process is due, in the server's microseconds; None when none runs."""
        row = await tx.fetch_one(self.sql.next_due)
        return None if row is None or row[0] is None else int(row[0])

    async def business_tables(self, tx: Transaction) -> dict[str, Sequence[Row]]:
        """Every row of every table that is not tieout's own."""
        names = [row[0] for row in await tx.fetch(self.sql.business_tables)]
        return {name: await tx.fetch('SELECT * FROM "{}"'.format(name.replace('"', '""'))) for name in names}  # noqa: S608 - the name is quoted, and the database's own
