"""Migrations where a change of tables commits at once, as in MySQL: each statement is noted, so that they can go on.

A statement is noted as begun before it runs, and as done after it. After a crash the first one that is not done runs
again; if it was begun, that it finds its work done is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tieout.contracts import Transaction
from tieout.database.query import Compiled
from tieout.errors import StatementError

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


class StepFailed(Exception):
    """The server refused a statement, because an earlier try had done its work, or for another reason: `error`."""

    def __init__(self, step: Step, error: StatementError) -> None:
        super().__init__(str(error))
        self.step = step
        self.error = error
        self.is_done = step.is_again and error.sqlstate in _DONE_ALREADY


class Step:
    """One statement of a migration, and whether an earlier try of it was begun and not noted as done."""

    def __init__(self, migration: Statements, begun: int, done: int) -> None:
        self.migration = migration
        self.number = done + 1
        self.is_again = begun > done

    @property
    def is_past_the_end(self) -> bool:
        return self.number > len(self.migration.texts)

    async def run(self, tx: Transaction) -> None:
        """Note it as begun, run it, note it as done; raise `StepFailed`.

        If it changes tables, that commits all before it: its own first note, and that the statement before it is done.
        """
        await self._note(tx, begun=self.number, done=self.number - 1)
        text, name = self.migration.texts[self.number - 1], f"statement {self.number} of migration"
        try:
            await tx.execute(Compiled(f"{name} {self.migration.number}", text, (), tx.dialect))
        except StatementError as error:
            raise StepFailed(self, error) from error
        await self.note_done(tx)

    async def note_done(self, tx: Transaction) -> None:
        await self._note(tx, begun=self.number, done=self.number)

    async def note_open(self, tx: Transaction) -> None:
        """Note it as not begun: what there is of its kind is not its work."""
        await self._note(tx, begun=self.number - 1, done=self.number - 1)

    async def _note(self, tx: Transaction, *, begun: int, done: int) -> None:
        await tx.execute(_NOTE, number=self.migration.number, begun=begun, done=done)


async def run_rest(tx: Transaction, migration: Statements) -> None:
    """Run the statements that are not done; raise `StepFailed`, which has to be noted in another transaction."""
    step = await next_step(tx, migration)
    while not step.is_past_the_end:
        await step.run(tx)
        step = Step(migration, step.number, step.number)
    await tx.execute(_TABLE)  # it is there, and yet this commits what was noted: whoever joined us may roll back


async def note_failed(tx: Transaction, failed: StepFailed) -> None:
    """Note what a refused statement came to, unless somebody has gone on meanwhile."""
    step = await next_step(tx, failed.step.migration)
    if step.number == failed.step.number:
        await (step.note_done(tx) if failed.is_done else step.note_open(tx))


async def next_step(tx: Transaction, migration: Statements) -> Step:
    """The first statement that is not done."""
    await tx.execute(_TABLE)
    row = await tx.fetch_one(_STEPS, number=migration.number)
    return Step(migration, *((0, 0) if row is None else (row["begun"], row["done"])))
