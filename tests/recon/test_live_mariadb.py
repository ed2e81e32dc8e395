"""Both sides followed through MariaDB's binlog, on a real server."""

from __future__ import annotations

import pytest

from tests.feeds.sources import mariadb_server
from tests.recon.conftest import run
from tests.recon.test_live import Shop
from tieout.recon import reached, same, side

CHANGE = (
    "CREATE TABLE points"
    " (id BIGINT PRIMARY KEY, state VARCHAR(20), sku VARBINARY(20), cost DECIMAL(20,4), done DATETIME(6))"
)
PRIZE = (
    "CREATE TABLE prize (change_id VARCHAR(40), state VARCHAR(20), sku VARBINARY(20), value DECIMAL(20,2),"
    " issued TIMESTAMP(6) NULL)"
)


@pytest.fixture
def server():
    server = mariadb_server()
    try:
        server.create()
        yield server
    finally:
        server.remove()


async def test_breaks_are_told_and_withdrawn(app, server, tmp_path) -> None:
    """Money, times and bytes mean the same; what differs, goes, comes late or was there before is found, and mends."""
    ours, theirs = (server.url(server.database()) for _ in range(2))
    await run(ours, CHANGE)
    await run(theirs, PRIZE)
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        opened.rule(
            "redemption",
            upstream=side(ours, table="points", key="id", when=reached("state", {"done"}), at="done"),
            downstream=side(theirs, table="prize", key="change_id", when=reached("state", {"issued"}), at="issued"),
            agree=[same("sku"), same("cost", "value")],
            grace="0.5s",
        )
        await run(ours, "INSERT INTO points VALUES (5, 'done', 'mug', 12.5, UTC_TIMESTAMP(6))")
        async with shop.watched():
            await shop.until(shop.breaks, {"5": "missing"})
            for key in (1, 2, 3, 4):
                await run(ours, f"INSERT INTO points VALUES ({key}, 'done', 'mug', 12.5, UTC_TIMESTAMP(6))")
            for key in (1, 2, 3):
                await run(theirs, f"INSERT INTO prize VALUES ('{key}', 'issued', 'mug', 12.50, CURRENT_TIMESTAMP(6))")
            await shop.until_counted(tied=3)
            await run(theirs, "UPDATE prize SET value = 12.51 WHERE change_id = '2'")
            await run(theirs, "DELETE FROM prize WHERE change_id = '3'")
            await shop.until(shop.breaks, {"2": "differs", "3": "missing", "4": "missing", "5": "missing"})
            await run(theirs, "UPDATE prize SET value = 12.5 WHERE change_id = '2'")
            for key in (3, 4, 5):
                await run(theirs, f"INSERT INTO prize VALUES ('{key}', 'issued', 'mug', 12.5, CURRENT_TIMESTAMP(6))")
            await shop.until(shop.breaks, {})
            assert not await opened.alarms.list(kind="feed-gap")


async def test_keys_that_are_shown_with_zeros_are_followed(app, server, tmp_path) -> None:
    """A log has the number and a query shows it with zeros: both are the one key, which the plain side has too."""
    ours, theirs = (server.url(server.database()) for _ in range(2))
    columns = "(a BIGINT(20){0}, b DECIMAL(12,2){0}, v INT(8){0}, d DATETIME(6))"
    await run(ours, f"CREATE TABLE t {columns.format(' ZEROFILL')}", "INSERT INTO t VALUES (9, 0.5, 7, NOW(6))")
    await run(theirs, f"CREATE TABLE t {columns.format('')}", "INSERT INTO t VALUES (9, 0.5, 7, NOW(6))")
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        sides = [side(url, table="t", key=("a", "b"), at="d") for url in (ours, theirs)]
        opened.rule("padded", upstream=sides[0], downstream=sides[1], agree=[same("v")], grace="0.5s")
        async with shop.watched():
            await shop.until_counted(tied=1)
            for url, kept in ((ours, ("9, 0.5", "10, 20", "11, 0")), (theirs, ("9, 0.5", "10, 20", "12, 0"))):
                await run(url, "DELETE FROM t", *(f"INSERT INTO t VALUES ({key}, 7, NOW(6))" for key in kept))
            await shop.until(shop.breaks, {"11/0": "missing", "12/0": "orphan"})
            await run(ours, "UPDATE t SET v = 8 WHERE a = 9")
            await shop.until(shop.breaks, {"9/0.5": "differs", "11/0": "missing", "12/0": "orphan"})
            await run(theirs, "UPDATE t SET v = 8 WHERE a = 9", "UPDATE t SET a = 11 WHERE a = 12")
            await shop.until(shop.breaks, {})
            assert not await opened.alarms.list(kind="feed-gap")
