"""The schema as one numbered list of migrations, each applied whole or not at all, by one process at a time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from tieout.contracts import Database, Transaction
from tieout.database import stepwise
from tieout.database.query import Compiled, split
from tieout.errors import ConfigError, SchemaMismatch

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.([a-z]+)\.sql")

_TABLE = """
CREATE TABLE IF NOT EXISTS tieout_migration (
    number BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)
"""

_MADE = "SELECT name FROM sqlite_master WHERE name = 'tieout_migration'"

_LOCKS: Mapping[str, str] = {
    "mysql": stepwise.LOCK,
    "postgres": "SELECT pg_advisory_xact_lock(7596567432169381749)",
}
"""How one process at a time is let in. SQLite needs nothing: a transaction there holds the write lock."""


@dataclass(frozen=True)
class Migration:
    """One step of the schema, in one dialect."""

    number: int
    name: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        return blake2b(self.text.encode(), digest_size=16).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


def migrations(dialect: str, folder: Traversable | None = None) -> Sequence[Migration]:
    """The migrations for a dialect, numbered from 1 without gaps; raise `ConfigError` when the files are not so."""
    folder = folder or resources.files("tieout.database") / "migrations"
    files = {file.name: file for file in folder.iterdir()}
    found = [
        Migration(int(match[1]), match[2], files[name].read_text(encoding="utf-8"))
        for name in sorted(files)
        if (match := _FILE.fullmatch(name)) and match[3] == dialect
    ]
    if not found or [one.number for one in found] != list(range(1, len(found) + 1)):
        raise ConfigError(f"the migrations for {dialect} are not numbered 1, 2, 3…: {', '.join(map(str, found))}")
    return found


async def plan(database: Database, folder: Traversable | None = None) -> Sequence[Migration]:
    """What `migrate` would apply now; raise `SchemaMismatch` when what was applied is not what this version knows."""
    known = migrations(database.dialect, folder)
    return _pending(known, await database.read(_applied_if_any))


async def check(database: Database, folder: Traversable | None = None) -> None:
    """Raise `SchemaMismatch` unless the schema is exactly the one of this version."""
    pending = await plan(database, folder)
    if pending:
        raise SchemaMismatch(f"the database lacks {', '.join(map(str, pending))}: run `tieout migrate`")


async def migrate(
    database: Database,
    progress: Callable[[str], None] | None = None,
    folder: Traversable | None = None,
    to: int | None = None,
) -> Sequence[Migration]:
    """Apply what is missing, each migration in one transaction with its own record; return what was applied.

    With `to`, migrations of higher numbers are left alone.
    `progress` is told the name of each once it is committed. Several processes may do this at once. MySQL commits each
    change of tables at once: there a migration that was interrupted goes on behind the last statement that was done.
    """
    known = migrations(database.dialect, folder)
    done: list[Migration] = []
    apply_next = _go_on if database.dialect in stepwise.STEPWISE else _apply_next
    while any(to is None or pending.number <= to for pending in await plan(database, folder)):
        applied = await apply_next(database, known)
        if applied is None:
            continue
        done.append(applied)
        if progress:
            progress(str(applied))
    return done


async def _apply_next(database: Database, known: Sequence[Migration]) -> Migration | None:
    return await database.transact(partial(_apply, known))


async def _go_on(database: Database, known: Sequence[Migration]) -> Migration | None:
    """Run what is left of the next migration, and record it; None if it has to be looked at again."""

    async def run(tx: Transaction) -> Migration | None:
        migration = await _next(known, tx)
        if migration is not None:
            texts = list(split(migration.text, tx.dialect))
            await stepwise.run_rest(tx, stepwise.Statements(migration.number, texts))
            await _record(migration, tx)
        return migration

    async def note(tx: Transaction) -> None:
        await _lock(tx)
        await stepwise.note_failed(tx, failed)

    try:
        return await database.transact(run)
    except stepwise.StepFailed as raised:
        failed = raised
        await database.transact(note)
        if failed.is_done:
            return None
        raise failed.error from None


async def _apply(known: Sequence[Migration], tx: Transaction) -> Migration | None:
    migration = await _next(known, tx)
    if migration is None:
        return None
    for statement in split(migration.text, tx.dialect):
        await tx.execute(Compiled(str(migration), statement, (), tx.dialect))
    await _record(migration, tx)
    return migration


async def _next(known: Sequence[Migration], tx: Transaction) -> Migration | None:
    await _lock(tx)
    await tx.execute(_TABLE)
    pending = _pending(known, await _applied(tx))
    return pending[0] if pending else None


async def _record(migration: Migration, tx: Transaction) -> None:
    await tx.execute(
        "INSERT INTO tieout_migration (number, name, digest, applied_at) VALUES (:number, :name, :digest, {now})",
        number=migration.number,
        name=migration.name,
        digest=migration.digest,
    )


async def _lock(tx: Transaction) -> None:
    # A driver with deadlines offers to lift them: a migration may take as long as it takes.
    be_patient: Callable[[], Awaitable[None]] | None = getattr(tx, "be_patient", None)
    if be_patient:
        await be_patient()
    if tx.dialect in _LOCKS:
        await tx.fetch(_LOCKS[tx.dialect])


async def _applied(tx: Transaction) -> Sequence[Any]:
    return await tx.fetch("SELECT number, name, digest FROM tieout_migration ORDER BY number")


async def _applied_if_any(tx: Transaction) -> Sequence[Any]:
    # SQLite has no code for a table that is missing, and somebody may make it before its catalogue could be asked why.
    if tx.dialect == "sqlite" and await tx.fetch_one(_MADE) is None:
        return ()
    try:
        return await tx.savepoint(_applied)
    except SchemaMismatch:
        return ()


def _pending(known: Sequence[Migration], applied: Sequence[Any]) -> Sequence[Migration]:
    """The migrations still to apply; raise `SchemaMismatch` unless those applied are the first of those known."""
    for number, (found, name, digest) in enumerate(applied, start=1):
        if found != number:
            raise SchemaMismatch(f"the database records migration {found} and not {number}: its records were changed")
        if number > len(known):
            raise SchemaMismatch(f"the database was migrated by newer code: {number:04}_{name} is unknown here")
        if digest != known[number - 1].digest:
            raise SchemaMismatch(f"{known[number - 1]} is not what was applied to this database as {number:04}_{name}")
    return known[len(applied) :]
