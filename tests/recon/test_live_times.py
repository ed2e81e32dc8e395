"""Days of 23 and 25 hours, and times without end, followed on a real server and compared offline: told alike."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from tests.feeds.sources import postgres_server
from tests.recon.conftest import compared, run
from tests.recon.test_live import Shop
from tieout.recon import day, same, side

BERLIN = ZoneInfo("Europe/Berlin")
FED = ("ALTER TABLE t REPLICA IDENTITY FULL", "CREATE PUBLICATION tieout FOR TABLE t")

TIMES = {
    "2026-10-25": [  # 25 hours: what is local comes twice, and is taken for the later one
        (1, "2026-10-25 00:00:00", "2026-10-24 22:00:00+00"),
        (2, "2026-10-25 01:59:59.999999", "2026-10-24 23:59:59.999999+00"),
        (3, "2026-10-25 02:30:00", "2026-10-25 01:30:00+00"),
        (4, "2026-10-25 02:30:00", "2026-10-25 00:30:00+00"),
        (5, "2026-10-25 23:59:59.999999", "2026-10-25 22:59:59.999999+00"),
        (6, "2026-10-25 23:59:59.999999", "2026-10-25 21:59:59.999999+00"),
    ],
    "2026-03-29": [  # 23 hours
        (11, "2026-03-29 00:00:00", "2026-03-28 23:00:00+00"),
        (12, "2026-03-29 01:59:59.999999", "2026-03-29 00:59:59.999999+00"),
        (13, "2026-03-29 03:00:00", "2026-03-29 01:00:00+00"),
        (14, "2026-03-29 03:00:00", "2026-03-29 02:00:00+00"),
        (15, "2026-03-29 23:59:59.999999", "2026-03-29 21:59:59.999999+00"),
    ],
    "2026-10-26": [(21, "2026-10-26 00:00:00", "2026-10-25 23:00:00+00")],
    "2026-03-30": [(31, "2026-03-30 00:00:00", "2026-03-29 22:00:00+00")],
}
BROKEN = {"2026-10-25": {"4", "6"}, "2026-03-29": {"14"}, "2026-10-26": set(), "2026-03-30": set()}
ENDLESS = [(41, "infinity", "infinity"), (42, "-infinity", "-infinity"), (43, "infinity", "-infinity")]


@pytest.fixture
def server():
    server = postgres_server()
    try:
        server.create()
        yield server
    finally:
        server.remove()


async def test_odd_times_are_told_alike_live_and_offline(app, server, tmp_path) -> None:
    """A local time is the same moment in both, of the same day; a time without end agrees with nothing, and is told."""
    ours, theirs = (server.url(server.database()) for _ in range(2))
    await run(ours, "CREATE TABLE t (id bigint, at timestamp)", *FED)
    await run(theirs, "CREATE TABLE t (id bigint, at timestamptz)", *FED)
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        opened.rule(
            "times",
            upstream=side(ours, table="t", key="id", at="at", zone="Europe/Berlin"),
            downstream=side(theirs, table="t", key="id", at="at"),
            agree=[same("at")],
            grace="0.3s",
            edge="2h",
            zone="Europe/Berlin",
        )
        rows = [row for several in TIMES.values() for row in several] + ENDLESS
        endless = {"41", "42", "43"}
        live = dict.fromkeys(set().union(*BROKEN.values()) | endless, "differs")
        async with shop.watched():
            await run(ours, f"INSERT INTO t VALUES {', '.join(f'({key}, {at!r})' for key, at, _ in rows)}")
            await run(theirs, f"INSERT INTO t VALUES {', '.join(f'({key}, {at!r})' for key, _, at in rows)}")
            await shop.until(shop.breaks, live)
            await shop.until_counted(waiting=0, doubtful=0)
            totals = (await shop.status()).totals
            assert totals["tied"] + totals.get("late-tied", 0) == len(rows) - len(live)
            assert not await opened.alarms.list(kind="feed-gap")
        for date, broken in BROKEN.items():
            ended, breaks = await compared(opened, "times", tmp_path, day(date, BERLIN))
            assert {key[0] for key in breaks} == broken and {one.outcome for one in breaks.values()} <= {"differs"}
            assert ended.totals["tied"] + ended.totals["late-tied"] == len(TIMES[date]) - len(broken)
            assert ended.totals["undated"] == {"upstream": 3, "downstream": 3} and ended.state == "broken"
