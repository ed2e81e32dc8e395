"""PostgreSQL servers that die, change roles or fill up, and a database handle that finds its way by itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time

import pytest

from tests.servers.postgres import Postgres
from tieout.database import connect
from tieout.errors import (
    CommitUnknown,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    StaleEpoch,
)
from tieout.testing.database_site import ADD, INSERT, executing, fetching, make_tables, points, refused

DURABLE = {"fsync": "off", "full_page_writes": "off"}
"""A commit survives the death of the server, though not of the machine, which these tests leave alive."""

SHORT = {"connect_timeout": 3, "deadline": 5}


@pytest.fixture
def server():
    """A server that the test may harm."""
    server = Postgres(**DURABLE)
    try:
        server.create()
        yield server
    finally:
        server.remove()


async def opened(url: str):
    """An open database with the suite's tables."""
    database = connect(url)
    await database.open()
    await database.transact(make_tables)
    return database


async def persist(database, key: int, seen: dict[type, int]) -> None:
    """Insert a key the way a service does: again and again, with the same key, until it is acknowledged."""
    insert = "INSERT INTO account (id, points) VALUES (:id, 1) ON CONFLICT DO NOTHING"

    async def work(tx) -> None:
        if await tx.execute(insert, id=key):
            await tx.execute(ADD, id=1, n=1)

    while True:
        try:
            await database.transact(work)
        except DatabaseError as error:
            seen[type(error)] = seen.get(type(error), 0) + 1
            if not error.retryable:
                raise
            await asyncio.sleep(0.02)
        else:
            return


async def test_nothing_is_lost_or_doubled_when_the_server_is_killed(server):
    """Under load the server is killed and started three times: every acknowledged key is there once, by itself."""
    database = await opened(server.url(**SHORT))
    seen: dict[type, int] = {}
    done: list[int] = []
    running = True

    async def client(number: int) -> None:
        key = number * 100_000
        while running:
            key += 1
            await persist(database, key, seen)
            done.append(key)

    clients = [asyncio.create_task(client(number)) for number in range(1, 9)]
    for _ in range(3):
        await asyncio.sleep(0.4)
        before = len(done)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        ends = time.monotonic() + 60
        while len(done) < before + 50:
            assert time.monotonic() < ends, "no recovery in a minute"
            await asyncio.sleep(0.02)
    running = False
    await asyncio.gather(*clients)
    keys = {row["id"] for row in await database.read(fetching("SELECT id FROM account WHERE id > 1"))}
    assert (keys == set(done), await points(database)) == (True, 100 + len(keys))
    assert seen.get(DatabaseUnavailable, 0) > 0
    await database.close()


async def test_a_read_only_server_says_so_and_is_tried_again(server):
    """A primary that becomes read-only refuses writes with its own error, and works again when it may."""
    database = await opened(server.url(**SHORT))
    await asyncio.to_thread(server.psql, "ALTER SYSTEM SET default_transaction_read_only = on")
    await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
    await asyncio.to_thread(server.wait_for, "SHOW default_transaction_read_only", "on")
    for _ in range(3):
        error = await refused(DatabaseReadOnly, database.transact(executing(ADD, id=1, n=1)))
        assert error.retryable
    await refused(DatabaseReadOnly, connect(server.url()).open())
    await asyncio.to_thread((server.data / "postgresql.auto.conf").write_text, "")
    await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
    await asyncio.to_thread(server.wait_for, "SHOW default_transaction_read_only", "off")
    await database.transact(executing(ADD, id=1, n=1))
    assert await points(database) == 101
    await database.close()


async def test_finds_the_new_primary_and_refuses_the_old_one(server):
    """After a failover writes go to the promoted standby; the old primary, started again, is refused as stale."""
    standby = await asyncio.to_thread(server.standby, "b")
    try:
        only_old = server.url(**SHORT)
        both = only_old.replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}")
        await refused(DatabaseReadOnly, connect(standby.url(**SHORT)).open())
        database = await opened(both)
        await asyncio.to_thread(standby.wait_for, "SELECT to_regclass('sample') IS NOT NULL", "t")
        await asyncio.to_thread(server.kill)
        error = await refused(DatabaseError, database.transact(executing(ADD, id=1, n=1)))
        assert error.retryable
        await asyncio.to_thread(standby.promote)
        await database.transact(executing(ADD, id=1, n=1))
        assert await asyncio.to_thread(standby.psql, "SELECT points FROM account WHERE id = 1") == "101"
        await asyncio.to_thread(server.start)
        error = await refused(StaleEpoch, connect(only_old).open())
        assert "timeline 1" in str(error)
        await database.transact(executing(ADD, id=1, n=1))
        await database.close()
        assert server.psql("SELECT points FROM account WHERE id = 1") == "100"
    finally:
        standby.remove()


async def test_leaves_a_primary_that_became_read_only(server):
    """When the primary is made read-only and a standby promoted, the next try finds the new one."""
    standby = await asyncio.to_thread(server.standby, "b")
    try:
        database = await opened(
            server.url(**SHORT).replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}")
        )
        await asyncio.to_thread(standby.wait_for, "SELECT to_regclass('sample') IS NOT NULL", "t")
        await asyncio.gather(*(database.transact(executing(ADD, id=1, n=0)) for _ in range(8)))
        await asyncio.to_thread(server.psql, "ALTER SYSTEM SET default_transaction_read_only = on")
        await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
        await asyncio.to_thread(server.wait_for, "SHOW default_transaction_read_only", "on")
        await asyncio.to_thread(standby.promote)
        await refused(DatabaseReadOnly, database.transact(executing(ADD, id=1, n=1)))
        await asyncio.gather(*(database.transact(executing(ADD, id=1, n=1)) for _ in range(8)))
        assert await asyncio.to_thread(standby.psql, "SELECT points FROM account WHERE id = 1") == "108"
        await database.close()
    finally:
        standby.remove()


async def test_a_frozen_primary_that_thaws_gets_no_commit(server):
    """A transaction that was open on the old primary is not committed there once the new one has been seen."""
    standby = await asyncio.to_thread(server.standby, "b")
    try:
        url = server.url(connect_timeout=3, deadline=60)
        database = await opened(url.replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}"))
        await asyncio.to_thread(standby.wait_for, "SELECT to_regclass('sample') IS NOT NULL", "t")
        written, thawed = asyncio.Event(), asyncio.Event()

        async def slow(tx) -> None:
            await tx.execute(ADD, id=1, n=1)
            written.set()
            await thawed.wait()

        old = asyncio.create_task(database.transact(slow))
        await written.wait()
        server.freeze()
        await asyncio.to_thread(standby.promote)
        await database.transact(executing(ADD, id=1, n=10))
        server.thaw()
        thawed.set()
        await refused(StaleEpoch, old)
        assert await points(database) == 110
        await database.close()
        assert server.psql("SELECT points FROM account WHERE id = 1") == "100"
    finally:
        standby.remove()


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_cancelled_wait_for_the_standby_is_unknown(server, end):
    """A commit that no standby confirmed is reported as unknown, though the server calls it a success."""
    database = await opened(server.url(deadline=60))
    await asyncio.to_thread(server.psql, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
    waiting, before = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'", await points(database)
    writing = asyncio.create_task(database.transact(executing(ADD, id=1, n=1)))
    while await asyncio.to_thread(server.psql, f"SELECT count(*) {waiting}") != "1":
        if writing.done():  # the checkpointer, which makes commits wait, had not heard of it yet
            before += await writing
            writing = asyncio.create_task(database.transact(executing(ADD, id=1, n=1)))
    await asyncio.to_thread(server.psql, f"SELECT {end}(pid) {waiting}")
    error = await refused(CommitUnknown, writing)
    assert error.outcome == "unknown"
    assert await points(database) == before + 1
    await database.close()


@pytest.fixture
def small_disk(server):
    """A folder with room for four megabytes where root may mount one; else one that is like any other."""
    disk = server.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "none", str(disk)]
    mounted = os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    (disk / "space").mkdir()
    server.own(disk / "space")
    yield disk, mounted
    server.stop()
    if mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_refuses_writes_and_serves_reads(server, small_disk):
    """No space is its own error; reads go on, and writes too once there is space again."""
    disk, mounted = small_disk
    database = await opened(server.url())
    server.psql(f"CREATE TABLESPACE small LOCATION '{disk}/space'")
    await database.transact(executing("CREATE TABLE filled (t TEXT) TABLESPACE small"))
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 3_000_000)
    fill = "INSERT INTO filled SELECT repeat('x', 1000) FROM generate_series(1, {})"
    full = fill.format(2_000) if mounted else "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$"
    error = await refused(DatabaseFull, database.transact(executing(full)))
    assert (error.outcome, error.retryable) == ("failed", True)
    assert await points(database) == 100
    ballast.unlink()
    await database.transact(executing(fill.format(500)))
    await database.transact(executing(INSERT, id=2, points=1))
    await database.close()
