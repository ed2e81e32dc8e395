"""SQLite files that are locked, full, read-only, damaged or somewhere they should not be."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tieout.database import connect
from tieout.database.sqlite_files import warn_if_remote
from tieout.errors import ConfigError, DatabaseError, DatabaseFull, DatabaseReadOnly, DatabaseUnavailable
from tieout.testing.database_site import ADD, INSERT, executing, fetching, make_tables, points, refused


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "files.db"


@pytest.fixture
async def database(path):
    """An open file with the suite's tables."""
    database = connect(f"sqlite:///{path}")
    await database.open()
    await database.transact(make_tables)
    yield database
    await database.close()


@contextmanager
def script(text: str, *args: object):
    """A Python process that runs this; it says "ready" when it wants to be waited for, and is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *map(str, args)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


async def test_waits_for_another_process(path, database):
    """A transaction waits until another process has written, and then runs."""
    with script(LOCKER, path) as process:
        await asyncio.to_thread(process.stdout.readline)
        waiting = asyncio.create_task(database.transact(executing(ADD, id=1, n=1)))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert await points(database) == 100
        process.stdin.write("\n")
        process.stdin.flush()
        assert await waiting == 1


async def test_a_lock_held_too_long_is_told(path, database, monkeypatch):
    """Who holds the lock for longer than the limit makes the others unavailable, for certain and not for ever."""
    monkeypatch.setattr("tieout.database.sqlite_session.BUSY_SECONDS", 0.2)
    with script(LOCKER, path) as process:
        await asyncio.to_thread(process.stdout.readline)
        error = await refused(DatabaseUnavailable, database.transact(executing(ADD, id=1, n=1)))
        assert (error.outcome, error.retryable) == ("failed", True)
        process.stdin.write("\n")
        process.stdin.flush()
        await asyncio.to_thread(process.wait)
    await database.transact(executing(ADD, id=1, n=1))
    assert await points(database) == 101


WORKER = """
import asyncio, sys, time
from tieout.database import connect
from tieout.testing.database_site import ADD, executing

async def main():
    database = connect("sqlite:///" + sys.argv[1])
    await database.open()
    print("ready", flush=True)
    sys.stdin.readline()
    ends, count = time.monotonic() + float(sys.argv[2]), 0
    async def task():
        nonlocal count
        while time.monotonic() < ends:
            await database.transact(executing(ADD, id=1, n=1))
            count += 1
            if len(sys.argv) > 4:
                print(count, flush=True)
    await asyncio.gather(*(task() for _ in range(int(sys.argv[3]))))
    await database.close()
    print(count, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("tasks", [8, 600])
async def test_two_busy_processes_share_a_file(path, database, tasks):
    """Two processes that never stop writing, even with a queue that never empties, both get their turns."""
    with script(WORKER, path, 1.5, tasks) as one, script(WORKER, path, 1.5, tasks) as two:
        for process in (one, two):
            await asyncio.to_thread(process.stdout.readline)
        for process in (one, two):
            process.stdin.write("\n")
            process.stdin.flush()
        counts = [int(await asyncio.to_thread(process.stdout.readline)) for process in (one, two)]
    assert await points(database) == 100 + sum(counts)
    assert min(counts) > 0.05 * max(counts), counts


async def test_what_was_acknowledged_survives_a_kill(path, database):
    """A process killed under load has lost nothing that it had acknowledged."""
    with script(WORKER, path, 60, 8, "aloud") as process:
        await asyncio.to_thread(process.stdout.readline)
        process.stdin.write("\n")
        process.stdin.flush()
        for _ in range(100):
            await asyncio.to_thread(process.stdout.readline)
        process.send_signal(signal.SIGKILL)
        rest = await asyncio.to_thread(process.stdout.read)
    acknowledged = max(int(line) for line in [*rest.splitlines(), "100"])
    found = await points(database)
    assert found is not None
    assert acknowledged <= found - 100 <= acknowledged + 8


async def test_a_full_database_refuses_writes_and_serves_reads(database):
    """No space undoes what did not fit, and only that; reads go on, and writes too once there is space again."""
    pages = (await database.read(fetching("PRAGMA page_count")))[0][0]
    await database.transact(fetching(f"PRAGMA max_page_count = {pages + 5}"))
    fill = executing("INSERT INTO sample (id, t) VALUES (abs(random()), :t)", t="x" * 100_000)
    small = executing(ADD, id=1, n=1)
    results = await asyncio.gather(*(database.transact(work) for work in (small, fill)), return_exceptions=True)
    assert type(results[1]) is DatabaseFull
    assert (results[1].outcome, results[1].retryable) == ("failed", True)
    assert await points(database) == 100 + (results[0] == 1)
    await database.transact(fetching("PRAGMA max_page_count = 1000000"))
    await database.transact(fill)


FULL_DISK = """
import asyncio, resource, sys
from tieout.database import connect
from tieout.errors import CommitUnknown, DatabaseUnavailable
from tieout.testing.database_site import ADD, executing, make_tables, points, refused

async def main():
    database = connect("sqlite:///" + sys.argv[1])
    await database.open()
    await database.transact(make_tables)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    fill = executing("INSERT INTO sample (id, t) VALUES (1, :t)", t="x" * 1_000_000)
    await refused(CommitUnknown, database.transact(fill))
    await refused(DatabaseUnavailable, database.transact(executing(ADD, id=1, n=1)))
    assert await points(database) == 100
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await database.close()
    await database.open()
    await database.transact(executing(ADD, id=1, n=1))
    assert await points(database) == 101
    await database.close()
    print("good")

asyncio.run(main())
"""


def test_a_commit_that_the_disk_fails_is_unknown(path):
    """After a failed write in COMMIT nobody can say what the disk holds: unknown, and no more writes until reopened."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("good", "")


@contextmanager
def unprivileged():
    """Run as somebody who is bound by permissions."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def folder():
    """A folder into which everybody may look."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_read_only_file_is_told_at_open(folder):
    """A file that may not be written is refused when it is opened."""
    path = folder / "a.db"
    database = connect(f"sqlite:///{path}")
    await database.open()
    path.chmod(0o444)
    with unprivileged():
        # While somebody else has it open, such a file can be read, and only the attempt to write tells.
        open_elsewhere = await refused(DatabaseReadOnly, connect(f"sqlite:///{path}").open())
    await database.close()
    with unprivileged():
        alone = await refused(DatabaseReadOnly, connect(f"sqlite:///{path}").open())
        await refused(DatabaseUnavailable, connect(f"sqlite:///{folder}/new.db").open())
    assert str(path) in str(alone) and str(path) in str(open_elsewhere)


async def test_a_wrong_path_is_told_at_open(tmp_path):
    """A missing folder, a folder in place of a file, and a file of something else are wrong settings, each named."""
    (tmp_path / "text").write_text("This is not a database. " * 100)
    for name, what in (("no/a.db", "folder"), ("", "folder"), ("text", "not a SQLite database")):
        error = await refused(ConfigError, connect(f"sqlite:///{tmp_path}/{name}").open())
        assert what in str(error)
        assert str(tmp_path) in str(error)


async def test_a_damaged_file_fails_without_harm(path, database):
    """A file that another program has overwritten gives an error, and not wrong rows."""
    await database.transact(lambda tx: tx.execute_many(INSERT, [{"id": n, "points": n} for n in range(2, 5_000)]))
    await database.close()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 8_192)
    broken = connect(f"sqlite:///{path}")
    await broken.open()
    error = await refused(DatabaseError, broken.read(fetching("SELECT * FROM account")))
    assert (error.sqlstate, error.retryable) == ("SQLITE_CORRUPT", False)
    await broken.close()


@pytest.mark.parametrize(("kind", "warned"), [("nfs4", 1), ("cifs", 1), ("ext4", 0)])
def test_warns_about_network_file_systems(tmp_path, caplog, kind, warned):
    """A file on a file system whose locks cannot be trusted is warned about; the nearest mount decides."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / {'ext4' if warned else 'nfs'} rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")
    warn_if_remote(tmp_path / "sub" / "a.db", mounts)
    assert len(caplog.records) == warned
