"""What both sides of a redemption are given: empty tables, users who can pay, and the statements of ours."""

from __future__ import annotations

import json

import tieout
from bench.redeem_ours import CHANGE, DEDUCT, USERS
from bench.turns import HERE
from tieout.database.query import compile_statement, load

SCHEMA = (HERE / "redeem_schema.sql").read_text()

INSERT_CONSTANTS = {
    "type": "redeem",
    "version": 1,
    "state": "issue",
    "status": "running",
    "due_in": 10_000_000,
    "lane": "redeem.issue",
    "snapshots": "{}",
    "result": None,
    "deadline_in": 86_400_000_000,
}
SAVE_CONSTANTS = {
    "fence": 1,
    "state": "completed",
    "status": "final",
    "due_in": None,
    "lane": None,
    "snapshots": "{}",
    "note": None,
    "attempts": 0,
    "errors": 0,
}


def statements(dialect: str) -> str:
    """The statements of ours, as the floor is given them: text, parameter names, and what is always the same."""
    sql = load("tieout.process", dialect)
    given = {
        "deduct": (compile_statement(DEDUCT, dialect, "deduct"), {}),
        "change": (compile_statement(CHANGE, dialect, "change"), {}),
        "insert": (sql.insert_process, INSERT_CONSTANTS),
        "save": (sql.save_process, SAVE_CONSTANTS),
    }
    return json.dumps({name: (one.text, one.params, constants) for name, (one, constants) in given.items()})


async def prepare(url: str) -> None:
    """Make the database empty, with tieout's tables, the two business tables, and users who can pay."""
    app = tieout.App(url)
    await app.migrate()

    async def work(tx: tieout.Transaction) -> None:
        for table in ("points_change", "account"):
            await tx.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in SCHEMA.split(";")[:-1]:
            await tx.execute(statement)
        await tx.execute("DELETE FROM tieout_process")
        users = [{"name": f"user{number}", "points": 1 << 40} for number in range(USERS)]
        await tx.execute_many("INSERT INTO account (name, points) VALUES (:name, :points)", users)

    await app.database.transact(work)
    await app.database.close()
