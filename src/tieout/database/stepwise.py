"""Migrations where a change of tables commits at once, as in MySQL: one statement at a time, so that they can go on.

A statement is noted as begun before it runs, and as done after it. After a crash the first one that is not done runs
again; if it was begun, that it finds its work done is no error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tieout.contracts import Database, Row, Transaction
from tieout.database.query import Compiled
from tieout.errors import DatabaseError

STEPWISE = frozenset({"mysql"})
"""Dialects whose CREATE, ALTER and DROP commit at once."""

LOCK = "SELECT GET_LOCK(MD5(CONCAT('tieout migrate ', DATABASE())), 3600)"
"""Lets one process at a time migrate, until its transaction ends: then our own connections let go of all locks."""

UNLOCK = "SELECT RELEASE_LOCK(MD5(CONCAT('tieout migrate ', DATABASE()))) AS released"
"""Takes that back once, on somebody else's connection; a lock that was taken n times is taken back n times."""

_TABLE = """
CREATE TABLE IF NOT EXISTS tieout_migration_step (
    number BIGINT NOT NULL PRIMARY KEY,
    begun INT NOT NULL,
    done INT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""

_STEPS = "SELECT begun, done FROM tieout_migration_step WHERE number = :number"

_NOTE = """
INSERT INTO tieout_migration_step (number, begun, done) VALUES (:number, :begun, :done)
ON DUPLICATE KEY UPDATE begun = :begun, done = :done
"""

_DONE_ALREADY = {"1007", "1050", "1060", "1061", "1068", "1091", "1826", "3822"}
"""The table, column or index is there already, or is gone already."""


class Statements(NamedTuple):
    """The statements of one migration."""

    number: int
    texts: Sequence[str]


class Step:
    """One statement of a migration, and whether an earlier try of it was begun and not noted as done."""

    def __init__(self, migration: Statements, row: Row | None) -> None:
        begun, done = (row[0], row[1]) if row is not None else (0, 0)
        self.migration = migration
        self.step = done + 1
        self.is_again = begun > done

    @property
    def is_past_the_end(self) -> bool:
        return self.step > len(self.migration.texts)

    async def run(self, tx: Transaction) -> None:
        """Note it as begun, run it, note it as done. If it changes tables, that commits the first note before it."""
        number = self.migration.number
        await tx.execute(_NOTE, number=number, begun=self.step, done=self.step - 1)
        text = self.migration.texts[self.step - 1]
        await tx.execute(Compiled(f"statement {self.step} of migration {number}", text, (), tx.dialect))
        await self.note_done(tx)

    async def note_done(self, tx: Transaction) -> None:
        await tx.execute(_NOTE, number=self.migration.number, begun=self.step, done=self.step)


async def run_next(database: Database, find: Callable[[Transaction], Awaitable[Statements | None]]) -> None:
    """Run the next statement of the migration that `find` gives, if there is one."""
    step: Step | None = None

    async def work(tx: Transaction) -> None:
        nonlocal step
        migration = await find(tx)
        step = await next_step(tx, migration) if migration is not None else None
        if step is not None and not step.is_past_the_end:
            await step.run(tx)

    try:
        await database.transact(work)
    except DatabaseError as error:
        if step is None or not step.is_again or error.sqlstate not in _DONE_ALREADY:
            raise
        await database.transact(step.note_done)


async def next_step(tx: Transaction, migration: Statements) -> Step:
    """The first statement that is not done."""
    await tx.execute(_TABLE)
    return Step(migration, await tx.fetch_one(_STEPS, number=migration.number))
