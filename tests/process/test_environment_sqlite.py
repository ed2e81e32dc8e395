"""SQLite that is missing, read-only, full, locked or without its tables: a clear error, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.process.load import LOADED, QUICK, Honest, accept, all_ended
from tests.process.place import Hurried, Place, key_of, points, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import (
    ConfigError,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    SchemaMismatch,
    Succeeded,
)

A = Succeeded(Prize("A1"))


async def refuse_writes(app):
    """From now on the file can only be read."""
    setting(app, "query_only = ON")


async def allow_writes(app):
    setting(app, "query_only = OFF")


def setting(app, pragma):
    """Change a setting of the connection that writes, which no transaction could take back."""
    app.database._committer._session.connection.execute(f"PRAGMA {pragma}")  # noqa: SLF001 - nothing else reaches it


async def fill(app):
    """From now on there is no space."""
    await rows(app, "CREATE TABLE ballast (text TEXT)")
    await rows(app, "INSERT INTO ballast VALUES (zeroblob(100000))")
    ((pages,),) = await rows(app, "SELECT page_count FROM pragma_page_count")
    setting(app, f"max_page_count = {pages}")
    try:
        while True:
            await rows(app, "INSERT INTO ballast VALUES (zeroblob(2000))")
    except DatabaseFull:
        return


async def make_room(app):
    setting(app, "max_page_count = 1000000")


FAULTS = {"read-only": (refuse_writes, allow_writes, DatabaseReadOnly), "full": (fill, make_room, DatabaseFull)}


@pytest.fixture(params=FAULTS.values(), ids=FAULTS)
def fault(request):
    """What goes wrong, how it is mended, and the error that says so."""
    return request.param


async def test_a_start_is_refused_with_the_reason(sqlite_place, shop, fault):
    """The caller is told what is wrong, by code; nothing of the request is stored, and later it is accepted."""
    begin, end, error = fault
    kind = redeem()
    app = await sqlite_place.open(kind, shop=shop, clock=Hurried())
    request = kind(request_id="r1", user="ann", sku="mug" * 5_000)
    await begin(app)
    with pytest.raises(error) as refused:
        await app.start(request)
    assert (refused.value.code, refused.value.outcome) == (error.code, "failed")
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(0,)]
    assert shop.sent == []
    await end(app)
    assert (await app.start(request, wait=60)).state == "completed"


async def test_reading_goes_on(sqlite_place, shop, fault):
    """What is there can be looked at while nothing can be written."""
    begin, end, _ = fault
    app, process = await standing(sqlite_place, shop)
    await begin(app)
    assert (await app.get(process.id)).id == process.id
    assert len(await app.list()) == 1
    assert await app.alarms.list() == []
    await end(app)


async def test_a_report_may_come_again(sqlite_place, shop):
    """The reporter is told to come back; its claim is not lost when it does."""
    app, process = await standing(sqlite_place, shop)
    await app.close()
    app = await sqlite_place.open(app.types["redeem"].cls, shop=shop, clock=Hurried())
    await refuse_writes(app)
    with pytest.raises(DatabaseReadOnly):
        await app.report(key_of(process), A)
    await allow_writes(app)
    assert await app.report(key_of(process), A) == "advanced"


async def test_an_answer_that_cannot_be_stored_is_found_again(sqlite_place, shop):
    """The call succeeded and its answer could not be stored: the query finds it, and nothing is sent twice."""
    kind = redeem()
    app = await sqlite_place.open(kind, shop=shop, clock=Hurried())

    async def then_read_only(send, **args):
        shop.sent.append(send)
        await refuse_writes(app)
        return A

    shop.issue = then_read_only
    process = await app.start(kind(request_id="r1", user="ann"), wait=0.5)
    assert process.status == "running"
    await allow_writes(app)
    shop.will("find", A)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert len(shop.sent) == 1


async def test_nothing_accepted_is_lost(sqlite_place, fault):
    """Writes fail for a while under load: every request that was accepted ends, once, when they work again."""
    begin, end, error = fault
    shop, refusals = Honest(), Counter()
    app = await sqlite_place.open(LOADED, shop=shop, clock=Hurried(), **QUICK)
    loads = [asyncio.create_task(accept(app, f"r{n}", refusals)) for n in range(20)]
    await begin(app)
    loads += [asyncio.create_task(accept(app, f"s{n}", refusals)) for n in range(20)]
    await asyncio.sleep(0.3)
    await end(app)
    await asyncio.gather(*loads)
    await all_ended(app, 40)
    assert set(refusals) <= {error.code}


async def test_a_file_locked_by_another_process_is_waited_for(sqlite_place, shop, monkeypatch):
    """Another program holds the write lock: bounded waits, its own error in the end, and no harm."""
    monkeypatch.setattr("tieout.database.sqlite_session.BUSY_SECONDS", 0.02)
    kind = redeem()
    app = await sqlite_place.open(kind, shop=shop, clock=Hurried())
    path = sqlite_place.url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        await app.start(kind(request_id="r1", user="ann"))
    other.execute("ROLLBACK")
    other.close()
    assert (await app.start(kind(request_id="r1", user="ann"), wait=60)).state == "completed"


async def test_missing_tables_are_told_at_the_start(tmp_path, shop):
    """An empty file, and an App that was told not to migrate."""
    with pytest.raises(SchemaMismatch, match="tieout migrate") as refused:
        await Place(f"sqlite:///{tmp_path}/new.db").open(redeem(), migrate=False)
    assert refused.value.code == "schema-mismatch"


async def test_tables_that_go_missing_are_told(sqlite_place, shop):
    """Somebody has dropped the table: not a bug in a statement, but a schema that is not ours."""
    kind = redeem()
    app = await sqlite_place.open(kind, shop=shop)
    before = await points(app)
    await rows(app, "ALTER TABLE tieout_process RENAME TO elsewhere")
    with pytest.raises(SchemaMismatch, match="tieout_process"):
        await app.start(kind(request_id="r1", user="ann"))
    assert await points(app) == before
    await rows(app, "ALTER TABLE elsewhere RENAME TO tieout_process")
    assert (await app.start(kind(request_id="r1", user="ann"), wait=60)).state == "completed"


@pytest.mark.parametrize(
    "url", ["sqlite:///{}/no/folder.db", "sqlite:///{}", "sqlite:///{}/text", "nosql://{}", "", "x"]
)
async def test_a_wrong_url_is_a_wrong_setting(tmp_path, url):
    """A place where no database can be is a `ConfigError` that says what is wrong."""
    (tmp_path / "text").write_text("this is no database" * 100)
    with pytest.raises(ConfigError) as refused:
        await Place(url.format(tmp_path)).open(redeem())
    assert refused.value.code == "config"


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for four megabytes where root may mount one, else a limit on the size of files."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(tmp_path)]
    if os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        yield tmp_path, lambda: (tmp_path / "ballast").write_bytes(b"x" * 10_000_000), (tmp_path / "ballast").unlink
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
        return
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE)
    yield tmp_path, lambda: limit((0, most)), lambda: limit((least, most))
    limit((least, most))


async def test_a_full_disk_is_told_at_the_start(small_disk, shop):
    """An App does not open without room to write; with room it opens, and everything is there."""
    disk, fill_up, make_space = small_disk
    place = Place(f"sqlite:///{disk}/shop.db")
    await place.prepare()
    kind = redeem()
    app = await place.open(kind, shop=shop)
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    await app.close()
    with suppress(OSError):
        fill_up()
    try:
        with pytest.raises((DatabaseFull, DatabaseUnavailable)) as refused:
            await place.open(kind, shop=shop)
        assert refused.value.outcome == "failed"
    finally:
        make_space()
    app = await place.open(kind, shop=shop)
    assert (await app.get(process.id)).state == "completed"
    assert (await app.start(kind(request_id="r2", user="ann"), wait=60)).state == "completed"
    await place.close()


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
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def test_a_read_only_file_is_told_at_the_start(folder, shop):
    """An App does not open on a file that it may not write."""
    place = Place(f"sqlite:///{folder}/shop.db")
    await place.prepare()
    (folder / "shop.db").chmod(0o444)
    with unprivileged(), pytest.raises(DatabaseReadOnly) as refused:
        await place.open(redeem())
    assert refused.value.code == "database-read-only"
    assert isinstance(refused.value, DatabaseError)
