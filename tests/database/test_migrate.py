"""Migrations: applied whole or not at all, once, by one process at a time, and checked against what was applied."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress

import pytest

from tieout.database import connect, sqlite_session, stepwise
from tieout.database.migrate import check, migrate, migrations, plan
from tieout.database.query import split
from tieout.errors import ConfigError, DatabaseError, SchemaMismatch, StatementError
from tieout.testing.database_site import executing, fetching, refused

DIALECTS = ("sqlite", "postgres", "mysql")


@pytest.fixture
def folder(tmp_path):
    """A folder of two migrations, the same in both dialects, to which a test may add."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    add(folder, 1, "CREATE TABLE a (n BIGINT); INSERT INTO a VALUES (1);")
    add(folder, 2, "ALTER TABLE a ADD COLUMN t TEXT; UPDATE a SET t = 'x; y';")
    return folder


def add(folder, number: int, text: str) -> None:
    """Write a migration for every dialect."""
    for dialect in DIALECTS:
        (folder / f"{number:04}_step.{dialect}.sql").write_text(text)


@pytest.fixture(params=["sqlite", "inline", "postgres", "mariadb"])
def url(request, tmp_path):
    """The address of an empty database of each kind."""
    if request.param in ("postgres", "mariadb"):
        server = request.getfixturevalue(request.param)
        return server.url(server.database())
    return f"sqlite:///{tmp_path}/migrate.db"


@pytest.fixture
async def database(request, url):
    """An empty database of each kind, open."""
    inline = request.node.callspec.params["url"] == "inline"
    database = connect(url, inline=inline)
    await database.open()
    yield database
    await database.close()


async def test_applies_what_is_missing_once(database, folder):
    """The plan names what is missing; migrating applies just that, in order, and tells; then nothing is missing."""
    told: list[str] = []
    assert [str(one) for one in await plan(database, folder)] == ["0001_step", "0002_step"]
    assert "0001_step" in str(await refused(SchemaMismatch, check(database, folder)))
    done = await migrate(database, told.append, folder)
    assert told == [str(one) for one in done] == ["0001_step", "0002_step"]
    await check(database, folder)
    assert (await migrate(database, told.append, folder), await plan(database, folder)) == ([], [])
    assert [tuple(row) for row in await database.read(fetching("SELECT n, t FROM a"))] == [(1, "x; y")]
    add(folder, 3, "CREATE TABLE b (n BIGINT);")
    assert [str(one) for one in await migrate(database, None, folder)] == ["0003_step"]


async def test_a_broken_migration_leaves_nothing(database, folder):
    """When a statement of a migration fails no row of it stays; those before it do. MySQL goes on behind its tables."""
    add(folder, 3, "CREATE TABLE b (n BIGINT); INSERT INTO a (n) VALUES (2); SELECT nonsense FROM nowhere;")
    await refused(DatabaseError, migrate(database, None, folder))
    assert [str(one) for one in await plan(database, folder)] == ["0003_step"]
    assert len(await database.read(fetching("SELECT * FROM a"))) == 1
    add(folder, 3, "CREATE TABLE b (n BIGINT);")
    await migrate(database, None, folder)
    await check(database, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE tieout_migration SET digest = 'other' WHERE number = 1", "0001_step is not what was applied"),
        ("DELETE FROM tieout_migration WHERE number = 1", "records migration 2 and not 1"),
        ("INSERT INTO tieout_migration VALUES (3, 'later', 'x', 0)", "newer code: 0003_later"),
    ],
)
async def test_a_history_that_is_not_ours_is_refused(database, folder, change, message):
    """Changed text, a gap and a migration of newer code are told, and nothing is applied on top of them."""
    await migrate(database, None, folder)
    await database.transact(executing(change))
    for judge in (plan(database, folder), check(database, folder), migrate(database, None, folder)):
        assert message in str(await refused(SchemaMismatch, judge))


async def test_several_processes_may_migrate_at_once(url, folder):
    """Of handles that migrate at the same time each migration is applied by one."""
    for number in range(3, 8):
        add(folder, number, f"CREATE TABLE t{number} (n BIGINT);")
    handles = [connect(url) for _ in range(3)]
    for handle in handles:
        await handle.open()
    done = await asyncio.gather(*(migrate(handle, None, folder) for handle in handles))
    assert sorted(one.number for part in done for one in part) == list(range(1, 8))
    for handle in handles:
        await check(handle, folder)
        await handle.close()


async def test_tables_may_come_while_somebody_looks(tmp_path, folder, monkeypatch):
    """SQLite cannot tell why a statement failed: what another process makes meanwhile is no reason to fail."""
    missing_table = sqlite_session.missing_table

    def late(connection, statement):
        with sqlite3.connect(tmp_path / "a.db") as another:
            another.execute("CREATE TABLE tieout_migration (number, name, digest, applied_at)")
        return missing_table(connection, statement)

    monkeypatch.setattr(sqlite_session, "missing_table", late)
    database = connect(f"sqlite:///{tmp_path}/a.db")
    await database.open()
    assert [one.number for one in await plan(database, folder)] == [1, 2]
    await database.close()


class Crash(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize("nth", range(1, 25))
async def test_a_crash_at_any_point_leaves_it_whole_or_absent(tmp_path, folder, nth):
    """Wherever the process dies, migrating again ends with the same schema as if it had not."""
    left = nth

    def hook(event: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash

    database = connect(f"sqlite:///{tmp_path}/a.db", inline=True, hook=hook)
    await database.open()
    try:
        await migrate(database, None, folder)
    except Crash:
        pending = [one.number for one in await plan(database, folder)]
        tables = await database.read(fetching("SELECT name FROM sqlite_master WHERE name = 'a'"))
        assert (len(tables) == 0) == (1 in pending)
    left = 0
    await migrate(database, None, folder)
    await check(database, folder)
    assert [tuple(row) for row in await database.read(fetching("SELECT n, t FROM a"))] == [(1, "x; y")]
    await database.close()


async def test_a_connection_lost_in_a_migration_leaves_nothing(postgres, folder):
    """When the server ends the connection in the middle of a migration nothing of it stays."""
    database = connect(postgres.url(postgres.database()))
    await database.open()
    add(folder, 3, "CREATE TABLE b (n BIGINT); SELECT pg_terminate_backend(pg_backend_pid());")
    await refused(DatabaseError, migrate(database, None, folder))
    assert [str(one) for one in await plan(database, folder)] == ["0003_step"]
    assert postgres_table(await database.read(fetching("SELECT to_regclass('b') AS b"))) is None
    await database.close()


def postgres_table(rows):
    """The table that `to_regclass` found."""
    return rows[0]["b"]


async def test_a_migration_may_take_longer_than_a_transaction(postgres, folder):
    """The deadline of ordinary transactions does not hold for migrations."""
    database = connect(postgres.url(postgres.database(), deadline=0.3))
    await database.open()
    add(folder, 3, "SELECT pg_sleep(0.8);")
    await migrate(database, None, folder)
    await check(database, folder)
    await database.close()


def test_every_dialect_has_every_migration():
    """The migrations that are shipped have the same numbers and names in every dialect."""
    shipped = [[str(one) for one in migrations(dialect)] for dialect in DIALECTS]
    assert shipped[0] == shipped[1]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_shipped_migrations_apply(dialect, request, tmp_path):
    """What is shipped makes a schema on an empty database, and is then complete."""
    url = f"sqlite:///{tmp_path}/a.db"
    if dialect == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.url(server.database())
    database = connect(url)
    await database.open()
    assert len(await migrate(database)) >= 1
    await check(database)
    await database.close()


def test_a_gap_in_the_files_is_refused(folder):
    """Files that are not numbered one after the other, or a dialect without any, are a mistake in the package."""
    add(folder, 4, "SELECT 1")
    with pytest.raises(ConfigError, match="0001_step, 0002_step, 0004_step"):
        migrations("sqlite", folder)
    with pytest.raises(ConfigError):
        migrations("oracle", folder)


async def test_mysql_goes_on_after_a_crash_at_any_statement(mariadb, monkeypatch):
    """Cut off after any statement, before that was noted, a migration is finished later."""
    database = connect(mariadb.url(mariadb.database()))
    await database.open()
    whole = stepwise.Step.note_done
    crashed = set()

    async def crash_once(self, tx) -> None:
        statement = self.migration.number, self.number
        if statement not in crashed:
            crashed.add(statement)
            raise LookupError("cut off")
        await whole(self, tx)

    monkeypatch.setattr(stepwise.Step, "note_done", crash_once)
    while await plan(database):
        with suppress(LookupError):
            await migrate(database)
    await check(database)
    assert len(crashed) == sum(len(list(split(one.text, "mysql"))) for one in migrations("mysql"))
    await database.close()


async def test_mysql_notes_nothing_of_a_statement_that_another_went_on_to(mariadb, folder, monkeypatch):
    """Of two that find a cut off statement done, the later one does not take the next one, which failed, for done."""
    database = connect(mariadb.url(mariadb.database()))
    await database.open()
    await database.transact(executing("CREATE TABLE c (other BIGINT)"))
    add(folder, 3, "CREATE TABLE b (n BIGINT); CREATE TABLE c (n BIGINT);")
    whole, transact = stepwise.Step.note_done, database.transact

    async def cut(self, tx) -> None:
        if self.migration.number == 3:
            monkeypatch.setattr(stepwise.Step, "note_done", whole)
            raise LookupError
        await whole(self, tx)

    async def transact_after_another(work):
        try:
            return await transact(work)
        except stepwise.StepFailed:
            monkeypatch.setattr(database, "transact", transact)
            await refused(StatementError, migrate(database, None, folder))
            raise

    monkeypatch.setattr(stepwise.Step, "note_done", cut)
    with pytest.raises(LookupError):
        await migrate(database, None, folder)
    monkeypatch.setattr(database, "transact", transact_after_another)
    error = await refused(StatementError, migrate(database, None, folder))
    assert error.sqlstate == "1050"
    await database.close()


async def test_mysql_believes_no_work_done_that_it_has_not_begun(mariadb, folder):
    """A table that somebody else made is an error each time, and is not taken for one of an earlier try."""
    database = connect(mariadb.url(mariadb.database()))
    await database.open()
    await database.transact(executing("CREATE TABLE a (other BIGINT)"))
    for _ in range(3):
        error = await refused(StatementError, migrate(database, None, folder))
        assert error.sqlstate == "1050"
    await database.close()
