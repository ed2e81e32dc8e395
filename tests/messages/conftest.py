"""The databases that the outbox and its relay are tried on."""

from __future__ import annotations

import pytest

from tests.servers import mariadb, postgres
from tieout.database import connect
from tieout.database.migrate import migrate

EMPTIED = (
    "tieout_outbox",
    "tieout_lease",
    "tieout_process",
    "tieout_inbox",
    "tieout_letter",
    "tieout_evidence",
    "tieout_alarm",
    "tieout_audit",
    "tieout_stray",
)


@pytest.fixture(scope="session")
def servers():
    """One database of each kind of server, made when a test asks for it."""
    made = {}

    def url(dialect):
        if dialect not in made:
            kind = {"postgres": postgres, "mysql": mariadb}[dialect]
            server = (kind.Postgres if dialect == "postgres" else kind.MariaDB)(**kind.FAST)
            made[dialect] = server, None
            server.create()
            made[dialect] = server, server.url(server.database())
        return made[dialect][1]

    yield url
    for server, _ in made.values():
        server.remove()


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def url(request, servers, tmp_path):
    """A database that holds at most what an earlier test has left in it."""
    return f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else servers(request.param)


@pytest.fixture
async def database(url):
    """An open database with tieout's tables, those of messages and processes empty."""
    database = connect(url)
    await database.open()
    await migrate(database)
    for table in EMPTIED:
        await database.transact(lambda tx, table=table: tx.execute(f"DELETE FROM {table}"))
    yield database
    await database.close()
