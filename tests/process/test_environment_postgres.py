"""PostgreSQL that is down, killed, read-only or without its tables: a clear error, and nothing lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.process.load import LOADED, QUICK, Honest, accept, all_ended
from tests.process.place import Hurried, Place, key_of, points, rows, standing, until
from tests.process.shop import Prize, redeem
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tieout import (
    ConfigError,
    DatabaseReadOnly,
    DatabaseUnavailable,
    SchemaMismatch,
    Succeeded,
)

A = Succeeded(Prize("A1"))
SHORT = {"connect_timeout": 5, "pool": 4}


@pytest.fixture(scope="module")
def own():
    """A server that may be harmed. What is committed survives a kill: only the machine loses no power here."""
    made = Postgres(fsync="off", full_page_writes="off")
    try:
        made.create()
        yield made
    finally:
        made.remove()


@pytest.fixture
async def fragile(own):
    """A database of its own on that server."""
    place = Place(own.url(own.database(), **SHORT))
    await place.prepare()
    yield place
    await place.close()


async def read_only(server, is_on):
    """Make the server refuse or accept writes, and wait until it does."""
    setting = "default_transaction_read_only = on\n" if is_on else ""
    await asyncio.to_thread((server.data / "postgresql.auto.conf").write_text, setting)
    await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
    while await asyncio.to_thread(server.psql, "SHOW default_transaction_read_only") != ("on" if is_on else "off"):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.02)


async def test_a_server_that_is_down_is_told_at_the_start():
    """An App does not open: unavailable, try later."""
    with pytest.raises(DatabaseUnavailable) as refused:
        await Place(f"postgresql://u@127.0.0.1:{free_port()}/postgres").open(redeem())
    assert (refused.value.code, refused.value.retryable) == ("database-unavailable", True)


@pytest.mark.parametrize("wrong", ["nowhere", "postgres?pool=none", "postgres?connect_timeout=-1"])
async def test_a_wrong_url_is_a_wrong_setting(postgres_server, wrong):
    """A database that does not exist and an option that is none are `ConfigError`, which waiting does not mend."""
    with pytest.raises(ConfigError) as refused:
        await Place(postgres_server.url(wrong)).open(redeem())
    assert refused.value.code == "config"


async def test_missing_tables_are_told_at_the_start(postgres_server):
    """An empty database, on which nobody has run `tieout migrate`."""
    with pytest.raises(SchemaMismatch, match="tieout migrate"):
        await Place(postgres_server.url(postgres_server.database())).open(redeem(), migrate=None)


async def test_tables_that_go_missing_are_told(postgres_place, shop):
    """Somebody has dropped the table: a schema that is not ours, and nothing is half done."""
    kind = redeem()
    app = await postgres_place.open(kind, shop=shop)
    before = await points(app)
    await rows(app, "ALTER TABLE tieout_process RENAME TO elsewhere")
    try:
        with pytest.raises(SchemaMismatch):
            await app.start(kind(request_id="r1", user="ann"))
        assert await points(app) == before
    finally:
        await rows(app, "ALTER TABLE elsewhere RENAME TO tieout_process")
    assert (await app.start(kind(request_id="r1", user="ann"), wait=60)).state == "completed"


async def test_a_read_only_server_is_told_at_the_start(own, fragile):
    """An App does not open on a standby, or on a primary that refuses writes."""
    await read_only(own, True)
    try:
        with pytest.raises(DatabaseReadOnly) as refused:
            await Place(fragile.url).open(redeem())
        assert (refused.value.code, refused.value.retryable) == ("database-read-only", True)
    finally:
        await read_only(own, False)


async def test_a_server_that_becomes_read_only_refuses_and_recovers(own, fragile, shop):
    """Requests and reports are refused with the reason, nothing is stored; later all of it works by itself."""
    _, process = await standing(fragile, shop)
    kind = redeem()
    app = await fragile.open(kind, shop=shop, clock=Hurried())
    await read_only(own, True)
    try:
        with pytest.raises(DatabaseReadOnly):
            await app.start(kind(request_id="r2", user="ann"))
        with pytest.raises(DatabaseReadOnly):
            await app.report(key_of(process), A)
    finally:
        await read_only(own, False)
    assert await app.report(key_of(process), A) == "advanced"
    assert (await app.start(kind(request_id="r2", user="ann"), wait=60)).state == "completed"
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(2,)]


async def test_a_server_that_is_down_refuses_and_nothing_is_sent(own, fragile, shop):
    """What could not be stored is not begun."""
    kind = redeem()
    app = await fragile.open(kind, shop=shop, clock=Hurried())
    await asyncio.to_thread(own.stop)
    with pytest.raises(DatabaseUnavailable) as refused:
        await app.start(kind(request_id="r1", user="ann"))
    assert (refused.value.outcome, shop.sent) == ("failed", [])
    await asyncio.to_thread(own.start)
    assert (await app.start(kind(request_id="r1", user="ann"), wait=60)).state == "completed"


@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_nothing_accepted_is_lost_when_the_server_goes_down(own, fragile, way):
    """Killed or stopped under load and started again: every accepted request ends, and each happened once."""
    shop, refusals = Honest(), Counter()
    nodes = [await fragile.open(LOADED, shop=shop, clock=Hurried(), **QUICK) for _ in range(2)]
    loads = [asyncio.create_task(accept(nodes[n % 2], f"r{n}", refusals)) for n in range(40)]
    await asyncio.sleep(0.03)
    await asyncio.to_thread(getattr(own, way))
    loads += [asyncio.create_task(accept(nodes[n % 2], f"s{n}", refusals)) for n in range(20)]
    await until(lambda: refusals)
    await asyncio.to_thread(own.start)
    accepted = await asyncio.gather(*loads)
    await all_ended(nodes[0], 60)
    assert set(refusals) <= {"database-unavailable", "commit-unknown"}
    assert {f"{process.id}:1" for process in accepted} == set(shop.effects)
