"""What a log does not tell whole, done to a side that is followed: a gap that names it, and all is found behind it.

Each deed changes a row so that whoever reads on is left with a pair that agreed: the change, or the row as it was, is
not in the log. `tests/feeds` shows what there is in its place.
"""

from __future__ import annotations

import pytest

from tests.feeds.sources import MariaDBSource, PostgresSource
from tests.recon.conftest import at
from tests.recon.test_live import Shop
from tieout.recon import same, side

COLUMNS = "id bigint PRIMARY KEY, cost {money}, at {moment}, note text"
NOTE = "repeat('x', 100)"
DEEDS = {
    "postgres": {
        "identity": (
            ["ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET cost = 13 WHERE id = 1"],
            "ALTER TABLE t REPLICA IDENTITY FULL",
            "REPLICA IDENTITY",
        ),
        "truncated": (["TRUNCATE t; INSERT INTO t VALUES (1, 13, {at}, ''), (2, 12.5, {at}, '')"], "", "truncated"),
        "rewritten": (
            [
                "ALTER TABLE t ALTER cost TYPE numeric(20,1) USING CASE id WHEN 1 THEN 13 ELSE cost END",
                "UPDATE t SET note = 'y' WHERE id = 2",
            ],
            "",
            "type of cost",
        ),
    },
    "mariadb": {
        "minimal": (["SET SESSION binlog_row_image = MINIMAL; UPDATE t SET cost = 13 WHERE id = 1"], "", "row_image"),
        "statement": (
            ["SET SESSION binlog_format = STATEMENT; UPDATE t SET cost = 13 WHERE id = 1"],
            "",
            "in place of the rows",
        ),
        "truncated": (
            ["TRUNCATE t", "INSERT INTO t VALUES (1, 13, {at}, ''), (2, 12.5, {at}, '')"],
            "",
            "TRUNCATE",
        ),
        "rewritten": (["ALTER TABLE t MODIFY cost decimal(20,0)", "UPDATE t SET cost = 12 WHERE id = 2"], "", "ALTER"),
        "unnamed": (
            ["SET GLOBAL binlog_row_metadata = MINIMAL", "UPDATE t SET cost = 13 WHERE id = 1"],
            "SET GLOBAL binlog_row_metadata = FULL",
            "metadata",
        ),
    },
}
CASES = [(kind, name) for kind, deeds in DEEDS.items() for name in deeds]


@pytest.fixture
def sides(servers_of, request):
    kind = request.param
    of_postgres = kind == "postgres"
    server = servers_of[kind]
    made = [PostgresSource(server) if of_postgres else MariaDBSource(server, "gtid") for _ in range(2)]
    columns = COLUMNS.format(
        money="numeric(20,4)" if of_postgres else "decimal(20,4)",
        moment="timestamptz" if of_postgres else "timestamp(6) NULL",
    )
    for source in made:
        source.create(columns)
    return made


@pytest.mark.parametrize(("sides", "deed"), CASES, indirect=["sides"], ids=[f"{kind}-{name}" for kind, name in CASES])
async def test_what_was_not_told_is_found_behind_the_gap(app, sides, deed, tmp_path) -> None:
    """The gap is an alarm that says why; both sides are loaded anew, the change is found, and following goes on."""
    ours, theirs = sides
    kind = "postgres" if isinstance(theirs, PostgresSource) else "mariadb"
    deeds, mended, why = DEEDS[kind][deed]
    then = at(ours.now())
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        urls = [one.server.url(one.name) for one in sides]
        both = [side(url, table="t", key="id", at="at") for url in urls]
        opened.rule("redemption", upstream=both[0], downstream=both[1], agree=[same("cost")], grace="0.5s")
        names = [url.rpartition("@")[2] for url in urls]
        silent = names if (kind, deed) == ("mariadb", "statement") else names[1:]  # one log tells of both databases

        async def gaps() -> dict[str, str]:
            return {one.object: one.state for one in await opened.alarms.list(kind="feed-gap")}

        async with shop.watched():
            for source in sides:
                source.run(f"INSERT INTO t VALUES (1, 12.5, {then}, {NOTE}), (2, 12.5, {then}, '')")
            await shop.until_counted(tied=2)
            for statement in deeds:
                theirs.run(statement.format(at=then))
            theirs.run(mended or "SELECT 1")
            await shop.until(gaps, dict.fromkeys(silent, "resolved"))
            for alarm in await opened.alarms.list(kind="feed-gap"):
                assert why in alarm.summary
            broken = dict.fromkeys(("1", "2") if (kind, deed) == ("mariadb", "rewritten") else ("1",), "differs")
            await shop.until(shop.breaks, broken)
            for source in sides:
                source.run(f"INSERT INTO t VALUES (3, 1, {then}, '')")
            await shop.until_counted(tied=3 - len(broken), waiting=0)
            assert await gaps() == dict.fromkeys(silent, "resolved")
