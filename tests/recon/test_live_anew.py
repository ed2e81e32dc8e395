"""A source that is another one than before, or whose log or table was begun anew: a gap, filled by what it has now.

What was lost is shown first: no reader of the log that goes on from where it was would come upon it.
"""

from __future__ import annotations

import pytest

from tests.feeds.sources import MariaDBSource, PostgresSource, mariadb_server, postgres_server
from tests.feeds.test_mysql import logged
from tests.recon.conftest import at
from tests.recon.test_live import Shop
from tieout.recon import same, side

COLUMNS = {
    "postgres": "id bigint PRIMARY KEY, cost numeric(20,4), at timestamptz",
    "mariadb": "id bigint PRIMARY KEY, cost decimal(20,4), at timestamp(6) NULL",
}
FED = "ALTER TABLE t REPLICA IDENTITY FULL; ALTER PUBLICATION tieout ADD TABLE t"


class Followed:
    """Two sides on a server each, and the rule between them; the second one's server is what is changed."""

    def __init__(self, app, ours, theirs, folder, kind) -> None:
        self.shop, self.ours, self.theirs = Shop(app, folder), ours, theirs
        self.then = at(ours.now())
        for one in (ours, theirs):
            one.create(COLUMNS[kind])
        urls = [one.server.url(one.name) for one in (ours, theirs)]
        self.name = urls[1].rpartition("@")[2]
        both = [side(url, table="t", key="id", at="at") for url in urls]
        app.rule("redemption", upstream=both[0], downstream=both[1], agree=[same("cost")], grace="0.5s")

    def insert(self, source, *keys: int) -> None:
        """Rows that agree with those of the other side."""
        source.run(f"INSERT INTO t VALUES {', '.join(f'({key}, 12.5, {self.then})' for key in keys)}")

    async def pairs(self, *keys: int, tied: int) -> None:
        """Rows on both sides, which are tied."""
        for source in (self.ours, self.theirs):
            self.insert(source, *keys)
        await self.shop.until_counted(tied=tied, waiting=0)

    async def gaps(self) -> dict[str, str]:
        """The gaps that were told, and how they stand."""
        return {one.object: one.state for one in await self.shop.app.alarms.list(kind="feed-gap")}

    async def filled(self, why: str, **breaks: str) -> None:
        """Wait until the gap, told with its reason, is filled and these breaks are found."""
        await self.shop.until(self.gaps, {self.name: "resolved"})
        (alarm,) = await self.shop.app.alarms.list(kind="feed-gap")
        assert why in alarm.summary, alarm.summary
        await self.shop.until(self.shop.breaks, {key.removeprefix("k"): outcome for key, outcome in breaks.items()})


@pytest.fixture
def mariadb_sides(servers_of):
    apart = mariadb_server(server_id="8")
    try:
        apart.create()
        yield MariaDBSource(servers_of["mariadb"], "gtid"), MariaDBSource(apart, "gtid")
    finally:
        apart.remove()


async def test_what_a_promoted_standby_has_not_is_found(app, servers_of, tmp_path) -> None:
    """The standby had not got the last row when its primary died: it has neither the row nor a word about it."""
    primary = postgres_server()
    primary.create()
    standby = None
    try:
        async with app() as opened:
            sides = [PostgresSource(server) for server in (servers_of["postgres"], primary)]
            followed = Followed(opened, *sides, tmp_path, "postgres")
            async with followed.shop.watched():
                await followed.pairs(1, 2, tied=2)
                standby = primary.standby("b")
                standby.stop()
                await followed.pairs(3, tied=3)
                primary.kill()
                standby.port = primary.port
                standby.start()
                standby.promote()
                theirs = followed.theirs
                theirs.server = standby
                assert theirs.run("SELECT count(*) FROM t") == "2"
                assert theirs.run("SELECT count(*) FROM pg_replication_slots") == "0"
                await followed.filled("standby that was promoted", k3="missing")
                await followed.pairs(4, tied=3)
                assert await followed.gaps() == {followed.name: "resolved"}
    finally:
        for server in (standby, primary):
            if server is not None:
                server.remove()


async def test_what_a_log_that_was_begun_anew_has_lost_is_found(app, mariadb_sides, tmp_path) -> None:
    """RESET MASTER while nobody reads: what was committed before it is in the table, and in no log."""
    async with app() as opened:
        followed = Followed(opened, *mariadb_sides, tmp_path, "mariadb")
        theirs = followed.theirs
        async with followed.shop.watched():
            await followed.pairs(1, 2, tied=2)
        theirs.released()
        theirs.run("UPDATE t SET cost = 13 WHERE id = 1; DELETE FROM t WHERE id = 2; RESET MASTER")
        for key in range(10, 60):
            followed.insert(theirs, key)
        followed.insert(followed.ours, *range(10, 60))
        log = logged(theirs)
        assert "### UPDATE" not in log
        assert "### DELETE" not in log
        async with followed.shop.watched():
            await followed.filled("begun anew", k1="differs", k2="missing")
            await followed.pairs(3, tied=51)
            assert await followed.gaps() == {followed.name: "resolved"}


@pytest.mark.parametrize("is_followed", [True, False])
async def test_what_a_table_that_was_made_anew_has_lost_is_found_on_mariadb(
    app, mariadb_sides, tmp_path, is_followed
) -> None:
    """A table of the same name and columns takes the place of one whose rows went without a word of any."""
    async with app() as opened:
        followed = Followed(opened, *mariadb_sides, tmp_path, "mariadb")
        theirs = followed.theirs

        def deed() -> None:
            theirs.run("DROP TABLE t")
            theirs.create(COLUMNS["mariadb"])
            followed.insert(theirs, 1)
            assert "### DELETE" not in logged(theirs)

        async with followed.shop.watched():
            await followed.pairs(1, 2, tied=2)
            if is_followed:
                deed()
                await followed.filled("DROP TABLE", k2="missing")
        if not is_followed:
            theirs.released()
            deed()
        async with followed.shop.watched():
            await followed.filled("DROP TABLE", k2="missing")
            await followed.pairs(3, tied=2)


@pytest.mark.parametrize("is_followed", [True, False])
async def test_what_a_table_that_was_made_anew_has_lost_is_found_on_postgres(
    app, servers_of, tmp_path, is_followed
) -> None:
    """The log of PostgreSQL has no word of DROP TABLE: that it is another table is seen by its next row."""
    async with app() as opened:
        sides = [PostgresSource(servers_of["postgres"]) for _ in range(2)]
        followed = Followed(opened, *sides, tmp_path, "postgres")
        theirs = followed.theirs
        shown = f"shown_{theirs.name}"
        theirs.run(f"SELECT pg_create_logical_replication_slot('{shown}', 'test_decoding')")

        def deed() -> None:
            theirs.run(f"DROP TABLE t; CREATE TABLE t ({COLUMNS['postgres']}); {FED}")
            followed.insert(theirs, 1)
            theirs.run("CHECKPOINT")
            data = theirs.run(f"SELECT data FROM pg_logical_slot_peek_changes('{shown}', NULL, NULL)")
            assert "table public.t: INSERT" in data
            assert "DELETE" not in data

        async with followed.shop.watched():
            await followed.pairs(1, 2, tied=2)
            if is_followed:
                deed()
                await followed.filled("another table than before", k2="missing")
        if not is_followed:
            deed()
        async with followed.shop.watched():
            await followed.filled("another table than before", k2="missing")
            await followed.pairs(3, tied=2)
