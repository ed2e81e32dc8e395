"""The suite of the process store and of the alarms, on every database and on the simulation's model of one."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from tests.process_store.loop_parking import LoopParking
from tests.simulation import model_alarms, model_mysql, model_statements
from tests.simulation.model_database import ModelDatabase
from tieout.alarm.store import AlarmStore
from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.eventloop import LoopClock
from tieout.process.mysql_store import process_store
from tieout.testing.process_store_interleaving import ended, saving, two_open
from tieout.testing.process_store_site import StoreSite
from tieout.testing.process_store_suite import InterleavingSuite, ProcessStoreSuite

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
WAITING_IN_INNODB = """
SELECT CAST(variable_value AS SIGNED)
FROM information_schema.global_status
WHERE variable_name = 'Innodb_row_lock_current_waits'
"""


async def nobody() -> int:
    return 0


def stores(database, waiting) -> StoreSite:
    return StoreSite(database, process_store(database.dialect, LoopClock()), AlarmStore(database.dialect), waiting)


class TestSqliteFile(ProcessStoreSuite):
    """A SQLite file: one writer at a time, so that nothing interleaves."""

    @pytest.fixture
    async def site(self, tmp_path):
        database = connect(f"sqlite:///{tmp_path}/suite.db")
        await database.open()
        await migrate(database)
        yield stores(database, nobody)
        await database.close()


class TestPostgres(ProcessStoreSuite, InterleavingSuite):
    """PostgreSQL, one database emptied for each test."""

    @pytest.fixture
    async def site(self, postgres_url):
        database = connect(postgres_url)
        await database.open()
        await migrate(database)
        for table in (*model_statements.TABLES, *model_alarms.TABLES):
            await database.transact(lambda tx, table=table: tx.execute(f"TRUNCATE {table} CASCADE"))

        async def waiting() -> int:
            row = await database.read(lambda tx: tx.fetch_one(WAITING))
            return row[0]

        yield stores(database, waiting)
        await database.close()


class InnodbSuite(InterleavingSuite):
    """What interleaves otherwise on InnoDB."""

    async def test_a_save_that_cannot_match_does_not_wait(self, site):
        """InnoDB locks a row before it looks at the fence: here it waits, and is judged by what is there then."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(saving(site, record))
            ahead = msgspec.structs.replace(record, fence=record.fence + 1)
            saved = await second.blocked(saving(site, ahead))
            await first.roll_back()
            assert not await ended(saved)


class TestMariaDB(ProcessStoreSuite, InnodbSuite):
    """MariaDB, one database emptied for each test."""

    @pytest.fixture
    async def site(self, mariadb_url):
        database = connect(mariadb_url)
        await database.open()
        await migrate(database)
        for table in reversed((*model_statements.TABLES, *model_alarms.TABLES)):
            await database.transact(lambda tx, table=table: tx.execute(f"DELETE FROM {table}"))

        async def waiting() -> int:
            row = await database.read(lambda tx: tx.fetch_one(WAITING_IN_INNODB))
            return row[0]

        yield stores(database, waiting)
        await database.close()


class TestModel(ProcessStoreSuite, InterleavingSuite):
    """The model that the simulation runs on."""

    @pytest.fixture
    async def site(self):
        return model("postgres", {})


class TestModelOfInnodb(ProcessStoreSuite, InnodbSuite):
    """The model with the statements of MySQL and MariaDB."""

    @pytest.fixture
    async def site(self):
        return model("mysql", model_mysql.STATEMENTS)


def model(dialect, others) -> StoreSite:
    statements = {**model_statements.STATEMENTS, **model_alarms.STATEMENTS, **others}
    tables = (*model_statements.TABLES, *model_alarms.TABLES)
    ticks = itertools.count(0, 7)
    database = ModelDatabase(LoopParking(), lambda: next(ticks), statements, tables, dialect=dialect)

    async def waiting() -> int:
        return sum(tx.waits_for is not None for tx in database.open)

    return stores(database, waiting)
