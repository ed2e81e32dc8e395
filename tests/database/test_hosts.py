"""Which host of a URL a new connection begins with, when the one before was lost."""

from __future__ import annotations

import pytest

from tieout.database import mysql_wire, postgres_wire
from tieout.database.mysql import MySqlDatabase
from tieout.database.pool import Pool
from tieout.database.postgres import PostgresDatabase
from tieout.errors import DatabaseError

KINDS = {
    "postgres": (PostgresDatabase, postgres_wire.dial, "SELECT pg_terminate_backend(pg_backend_pid())"),
    "mariadb": (MySqlDatabase, mysql_wire.dial, "KILL CONNECTION_ID()"),
}


@pytest.mark.parametrize("kind", [*KINDS])
async def test_after_a_loss_the_next_host_comes_first(kind, request):
    """A server that was lost may be frozen, and cost the next connection its time-out: another is tried."""
    make, dial, suicide = KINDS[kind]
    dialled: list[str] = []

    async def noting(settings, host, check):
        dialled.append(str(host))
        return await dial(settings, host, check)

    port = request.getfixturevalue(kind).port
    url = request.getfixturevalue(kind).url().replace(f"127.0.0.1:{port}", f"127.0.0.1:{port},localhost:{port}")
    database = make(url, noting, Pool)
    await database.open()
    for lost in ("127.0.0.1", "localhost"):
        assert lost in dialled[-1]
        with pytest.raises(DatabaseError):
            await database.transact(lambda tx: tx.execute(suicide))
        await database.read(lambda tx: tx.fetch("SELECT 1"))
    assert ["localhost" in host for host in dialled] == [False, True, False]
    await database.close()
