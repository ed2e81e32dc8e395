"""A side followed by the messages of a connector, from the row that is written to the verdict and its alarm."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Producer

from tests.channels.conftest import brokers
from tests.feeds.connected import Connected
from tests.feeds.sources import MariaDBSource, PostgresSource, mariadb_server, postgres_server
from tests.recon.conftest import at
from tests.recon.test_live import Shop
from tieout.recon import reached, same, side, watching

__all__ = ["brokers"]

MONEY = {"debezium": "numeric(20,4)", "canal": "decimal(20,4)"}
MOMENT = {"debezium": "timestamptz", "canal": "timestamp(6) NULL"}
TRUNCATED = {
    "debezium": {
        "op": "t",
        "source": {"connector": "postgresql", "name": "shop", "schema": "public", "table": "t", "ts_ms": 1 << 41},
    },
    "canal": {"type": "TRUNCATE", "database": "shop", "table": "t", "es": 1 << 41, "isDdl": True, "sql": "TRUNCATE t"},
}


@pytest.fixture(params=["debezium", "canal"])
def sides(request, brokers):
    """A database with a connector beside it, and one whose log is read, on one server."""
    of_postgres = request.param == "debezium"
    server = postgres_server() if of_postgres else mariadb_server()
    server.create()
    ours, theirs = (PostgresSource(server) if of_postgres else MariaDBSource(server, "gtid") for _ in range(2))
    followed = Connected(ours, brokers("kafka"))
    try:
        columns = f"id bigint PRIMARY KEY, state varchar(20), cost {MONEY[request.param]}, at {MOMENT[request.param]}"
        followed.create(columns)
        theirs.create(columns)
        yield followed, theirs
    finally:
        followed.stop()
        server.remove()


def insert(source, then: str, *keys: int) -> None:
    """Write rows of one business time, so that pairs are never late, however long the machine takes in between."""
    for key in keys:
        source.run(f"INSERT INTO t VALUES ({key}, 'done', 12.5, {then})")


async def test_a_side_is_followed_by_messages(app, sides, tmp_path, monkeypatch) -> None:
    """Breaks and pairs are told as by the log itself; a dead connector is an alarm, what it cannot tell a gap."""
    ours, theirs = sides
    then = at(ours.now())
    monkeypatch.setattr(watching, "SILENT", 2.0)
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        both = (side(url, table="t", key="id", when=reached("state", {"done"}), at="at") for url in urls(ours, theirs))
        opened.rule("redemption", upstream=next(both), downstream=next(both), agree=[same("cost")], grace="1.5s")
        opened.recon.feed(ours.url, slot="points by messages", feed=lambda columns: ours.feed(tables=columns))

        async def alarms(kind: str) -> set[str]:
            return {one.object for one in await opened.alarms.list(kind=kind, state="open")}

        insert(ours, then, 5, 6)
        insert(theirs, then, 6)
        async with shop.watched():
            await shop.until(shop.breaks, {"5": "missing"})
            insert(ours, then, 1, 2, 3, 4)
            insert(theirs, then, 1, 2, 3, 9)
            await shop.until_counted(tied=4)
            ours.run("UPDATE t SET cost = 12.5001 WHERE id = 2")
            ours.run("DELETE FROM t WHERE id = 3")
            broken = {"2": "differs", "3": "orphan", "4": "missing", "5": "missing", "9": "orphan"}
            await shop.until(shop.breaks, broken)
            assert await alarms("recon-breaks") == {f"redemption {one}" for one in ("differs", "orphan", "missing")}
            told = next(one for one in await opened.recon.decide.list() if one.outcome == "differs")
            assert "fed-" in told.detail["provenance"]["upstream"]["position"]

            ours.stop()
            insert(ours, then, 7)
            insert(theirs, then, 7, 8)
            await shop.until(lambda: alarms("feed-silent"), {"points by messages"})
            assert await shop.breaks() == broken and (await shop.status()).health != "agreed"
            ours.start()
            await shop.until(shop.breaks, broken | {"8": "orphan"})
            await shop.until(lambda: alarms("feed-silent"), set())

            producer = Producer({"bootstrap.servers": ours.case.server.url})
            producer.produce(ours.topic, json.dumps(TRUNCATED[ours.kind]).encode(), key=b"k")
            producer.flush(10)
            await shop.until(gaps_of(opened), {"points by messages": "resolved"})

            ours.run("UPDATE t SET cost = 12.5 WHERE id = 2")
            insert(ours, then, 3, 8, 9)
            insert(theirs, then, 4, 5)
            await shop.until(shop.breaks, {})
            await shop.until(lambda: alarms("recon-breaks"), set())
            await shop.until(lambda: health(shop), "agreed")


def urls(ours: Connected, theirs) -> tuple[str, str]:
    return ours.url, theirs.server.url(theirs.name)


def gaps_of(opened):
    async def gaps() -> dict[str, str]:
        return {one.object: one.state for one in await opened.alarms.list(kind="feed-gap", state="")}

    return gaps


async def health(shop) -> str:
    return (await shop.status()).health
