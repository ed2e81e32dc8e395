"""Plans of the store's statements on a table with many final processes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from tieout.database import connect, load
from tieout.database.migrate import migrate

FINALS = 20_000
DUES = 200
SECOND = 1_000_000
VALUES: dict[str, Any] = {
    "id": bytes(16),
    "lanes": ["lane0", "lane1"],
    "types": ["redeem"],
    "versions": [1],
    "share": 10,
    "lease": 1,
    "low": 0,
    "age": 9 * FINALS // 10 * SECOND,
    "since": 0,
    "limit": 10,
    "fence": 0,
    "due_in": 0,
    "attempts": 0,
    "errors": 0,
}
INSERT = """
INSERT INTO tieout_process (
    id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail, attempts,
    errors, duplicates, created, changed
)
VALUES (
    :id, 'redeem', :id, :id, 1, :state, :status, 1, :due, :lane, '{}', '{}', '[]', '[]', 0, 0, 0, {now} - :ago,
    {now} - :ago
)
"""
ANALYZE = {"sqlite": "ANALYZE", "postgres": "ANALYZE tieout_process", "mysql": "ANALYZE TABLE tieout_process"}
SCANS = {
    "sqlite": r"SCAN (?:tieout_process|p|q)\b(?! USING)",
    "postgres": r"Seq Scan on tieout_process",
    "mysql": r'"table_name": "(?:tieout_process|p)",\s*"access_type": "(?:ALL|index)"',
}


async def loaded(url: str) -> None:
    """Fill an empty store."""
    database = connect(url)
    await database.open()
    await migrate(database)
    await database.transact(lambda tx: tx.execute("DELETE FROM tieout_process"))
    rows = [
        {
            "id": n.to_bytes(16, "big"),
            "ago": (FINALS + DUES - n) * SECOND,
            "state": "issue" if n < DUES else "completed",
            "status": "running" if n < DUES else "final",
            "due": 1 << 61 if n < DUES else None,
            "lane": f"lane{n % 5}" if n < DUES else None,
        }
        for n in range(FINALS + DUES)
    ]
    for start in range(0, len(rows), 2_000):
        await database.transact(lambda tx, start=start: tx.execute_many(INSERT, rows[start : start + 2_000]))
    await database.transact(lambda tx: tx.fetch(ANALYZE[database.dialect]))
    await database.close()


class Explained:
    """The plans of one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.dialect = connect(url).dialect
        self.statements = load("tieout.process", self.dialect)

    def plan(self, name: str, explain: str = "") -> str:
        """How the server would run a statement of the store."""
        default = {"sqlite": "EXPLAIN QUERY PLAN", "postgres": "EXPLAIN", "mysql": "EXPLAIN FORMAT=JSON"}[self.dialect]
        return "\n".join(str(row[-1]) for row in asyncio.run(self._fetch(f"{explain or default} {self._text(name)}")))

    def scans(self, plan: str) -> list[str]:
        """The places of a plan that read the whole table."""
        return re.findall(SCANS[self.dialect], plan)

    def rows_read(self, name: str) -> int:
        """How many rows a statement is to read, as far as the server tells; SQLite tells where it would scan."""
        plan = self.plan(name)
        if self.dialect == "sqlite":
            return FINALS * len(self.scans(plan))
        return max(int(number) for number in re.findall(r'"rows": (\d+)', plan))

    async def _fetch(self, text: str) -> Any:
        database = connect(self.url)
        await database.open()
        try:
            return await database.transact(lambda tx: tx.fetch(text))
        finally:
            await database.close()

    def _text(self, name: str) -> str:
        """A statement with its values written out."""
        statement = getattr(self.statements, name)
        values = [self._literal(VALUES.get(param, "")) for param in statement.params]
        if self.dialect == "postgres":
            return re.sub(r"\$(\d+)", lambda match: values[int(match[1]) - 1], statement.text)
        left = iter(values)
        return re.sub(r"\?|%s", lambda _: next(left), statement.text).replace("%%", "%")

    def _literal(self, value: Any) -> str:
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'::bytea" if self.dialect == "postgres" else f"x'{value.hex()}'"
        if isinstance(value, list):
            if self.dialect == "postgres":
                return "ARRAY[" + ", ".join(self._literal(one) for one in value) + "]"
            return f"'{json.dumps(value)}'"
        return str(value) if isinstance(value, int) else f"'{value}'"
