"""The suite of the Database contract, on every database there is."""

from __future__ import annotations

import pytest

from tieout.database import connect
from tieout.testing.database_site import Site
from tieout.testing.database_suite import DatabaseSuite
from tieout.testing.thread_site import ThreadedDatabase


class TestSqliteFile(DatabaseSuite):
    """A SQLite file, with its threads."""

    @pytest.fixture
    def site(self, tmp_path):
        return Site(lambda: connect(f"sqlite:///{tmp_path}/suite.db"))


class TestSqliteMemory(DatabaseSuite):
    """SQLite in memory, with its thread."""

    @pytest.fixture
    def site(self):
        return Site(lambda: connect("sqlite://"), shared=False, bounded=False)


class TestSqliteInline(DatabaseSuite):
    """SQLite in memory, without threads."""

    @pytest.fixture
    def site(self):
        return Site(lambda: connect("sqlite://", inline=True), shared=False, parallel=False, bounded=False)


class TestPostgres(DatabaseSuite):
    """PostgreSQL, with a pool that is smaller than the number of tasks."""

    @pytest.fixture
    def site(self, postgres):
        return Site(lambda: connect(postgres.url(pool=4)))


class TestMariaDB(DatabaseSuite):
    """MariaDB, with a pool that is smaller than the number of tasks."""

    @pytest.fixture
    def site(self, mariadb, suite_database):
        return Site(lambda: connect(mariadb.url(suite_database, pool=4)))


def threaded(url: str) -> Site:
    """A site of databases for threads."""
    return Site(lambda: ThreadedDatabase(connect(url, blocking=True)))


class TestBlockingSqliteFile(DatabaseSuite):
    """A SQLite file, for threads."""

    @pytest.fixture
    def site(self, tmp_path):
        return threaded(f"sqlite:///{tmp_path}/suite.db")


class TestBlockingMariaDB(DatabaseSuite):
    """MariaDB, for threads."""

    @pytest.fixture
    def site(self, mariadb, suite_database):
        return threaded(mariadb.url(suite_database, pool=4))


class TestBlockingPostgres(DatabaseSuite):
    """PostgreSQL, for threads."""

    @pytest.fixture
    def site(self, postgres):
        return threaded(postgres.url(pool=4))
