"""A primary whose commits wait for a replica no more: a person is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.ha.business import fill
from tests.ha.pairs import PAIRS, MariaPairs
from tieout import App
from tieout.database.replication import Replication, lapse, of_postgres, of_semi_sync

WAITS = Replication(is_wanted=True, waits=True, found="it waits")
FELL_BACK = Replication(is_wanted=True, waits=False, found="it has fallen back")
OFF = Replication(is_wanted=False, waits=False, found="it is off")


@pytest.fixture(scope="module", params=[*PAIRS])
def pairs(request):
    """What makes pairs of one database."""
    made = PAIRS[request.param](lambda url: asyncio.run(fill(url)))
    yield made
    made.remove()


@pytest.fixture
def pair(pairs):
    """A primary and its replica."""
    pair = pairs.make()
    yield pair
    pair.remove()


async def told(app: App) -> list[str]:
    """What alarms of a lapse rest on."""
    shown = [await app.alarms.show(alarm.id) for alarm in await app.alarms.list(kind="replication-lapsed")]
    return [json.loads(piece.body)["found"] for alarm in shown for piece in alarm.evidence]


async def test_a_person_is_told_when_commits_wait_for_no_replica_any_more(pair):
    """None is told while all is well; each lapse once, however often it is seen."""
    async with App(pair.url, sweep=False) as app:
        await app.watch.look()
        assert await told(app) == []
        for lapses in (1, 2):
            pair.stop_waiting()
            await app.watch.look()
            await app.watch.look()
            found = await told(app)
            assert len(found) == lapses
            assert "a failover would lose requests" in found[-1]
            pair.wait_again()
            await app.watch.look()
        assert len(await told(app)) == 2


async def test_a_fall_back_is_told_also_by_a_node_that_has_seen_nothing_else(pair, pairs):
    """The server is asked to wait and does not: MariaDB's time-out has passed, or PostgreSQL's commits are local."""
    if isinstance(pairs, MariaPairs):
        pair.old.sql("SET GLOBAL rpl_semi_sync_master_timeout = 50")
        await asyncio.to_thread(pair.new.freeze)
        await asyncio.to_thread(pair.old.sql, "UPDATE account SET points = 1", "test_1")
    else:
        pair.old.psql("ALTER SYSTEM SET synchronous_commit = 'local'")
        pair.old.psql("SELECT pg_reload_conf()")
        pair.old.wait_for("SHOW synchronous_commit", "local")
    async with App(pair.url, sweep=False) as app:
        await app.watch.look()
        assert len(await told(app)) == 1


def test_only_a_lapse_is_told():
    """Nobody is told of what was never asked for, or is well."""
    assert lapse(None, WAITS) is None
    assert lapse(None, OFF) is None
    assert lapse(OFF, OFF) is None
    assert lapse(None, FELL_BACK).startswith("it has fallen back")
    assert lapse(WAITS, OFF).startswith("it is off")


def test_what_the_servers_say_is_understood():
    """A commit that waits for the other's memory only, or for nobody, does not wait."""
    commits = ("on", "remote_apply", "remote_write", "local", "off")
    assert [of_postgres({"names": "second", "commits": name}).waits for name in commits] == [True] * 2 + [False] * 3
    assert not of_postgres({"names": "", "commits": "on"}).is_wanted
    assert of_semi_sync({"rpl_semi_sync_master_enabled": "ON", "rpl_semi_sync_master_status": "ON"}).waits
    fell_back = of_semi_sync({"rpl_semi_sync_master_enabled": "ON", "rpl_semi_sync_master_status": "OFF"})
    assert (fell_back.is_wanted, fell_back.waits) == (True, False)
    assert not of_semi_sync({}).is_wanted
