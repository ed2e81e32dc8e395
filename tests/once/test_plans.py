"""The statements of every request find their rows by an index, on PostgreSQL and on SQLite."""

from __future__ import annotations

import pytest

from tests.once.place import Place, rows
from tieout.database import load

USES = {
    ("tieout.once.lock_first", "claim_key"): "tieout_once_pkey",
    ("tieout.once", "read_answer"): "tieout_once_pkey",
    ("tieout.once", "purge_answers"): "tieout_once_expires",
    ("tieout.messages", "purge_inbox"): "tieout_inbox_expires",
}
VALUES = {"id": "'\\x00112233445566778899aabbccddeeff'::bytea", "limit": "500"}


@pytest.mark.parametrize(("package", "name"), USES)
async def test_postgres_uses_the_index(postgres_place: Place, package: str, name: str) -> None:
    """No statement has to read the whole table."""
    app = postgres_place.apps[0]
    statement = getattr(load(package, "postgres"), name)
    text = statement.text
    for number, param in enumerate(statement.params, 1):
        text = text.replace(f"${number}", VALUES[param])

    async def explain(tx: object) -> str:
        await tx.execute("SELECT set_config('enable_seqscan', 'off', true)")
        return "\n".join(line for (line,) in await tx.fetch(f"EXPLAIN {text}"))

    plan = await app.database.transact(explain)
    assert USES[package, name] in plan and "Seq Scan on tieout" not in plan, plan


@pytest.mark.parametrize(("package", "name"), USES)
async def test_sqlite_uses_the_index(sqlite_place: Place, package: str, name: str) -> None:
    """No statement has to read the whole table."""
    statement = getattr(load(package, "sqlite"), name)
    text = statement.text.replace("?", "500")
    plan = await rows(sqlite_place.apps[0], "SELECT 1") and await explained(sqlite_place, text)
    assert "SCAN tieout" not in plan, plan


async def explained(place: Place, text: str) -> str:
    """SQLite's plan of a statement."""
    found = await place.apps[0].database.read(lambda tx: tx.fetch(f"EXPLAIN QUERY PLAN {text}"))
    return "\n".join(row[3] for row in found)
