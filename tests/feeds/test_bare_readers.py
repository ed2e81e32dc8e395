"""What `bench.live` asks of bare readers is what a feed tells, and a reader that tells less is noticed."""

from __future__ import annotations

import pytest

from bench.live_asked import CHANGES, lacking, statements
from tests.feeds.sources import MariaDBSource, PostgresSource, told
from tieout.feeds import Committed

COLUMNS = "id bigint PRIMARY KEY, state varchar(20), sku {}, quantity int, cost {}, done timestamp NULL"


async def telling(source, dialect):
    """What our own feed tells of it."""
    feed = source.feed(tables=["points"])
    await feed.open()
    for statement in statements(dialect):
        source.run(statement)
    found = [one for one in await told(feed) if isinstance(one, Committed)]
    await feed.close()
    return [(one.position.text(), [(change.before, change.after) for change in one.changes]) for one in found]


@pytest.fixture(params=["postgres", "mariadb"])
async def said(request):
    server = request.getfixturevalue(request.param)
    if request.param == "postgres":
        source = PostgresSource(server)
        source.run(
            f"CREATE TABLE points ({COLUMNS.format('text', 'numeric')}); CREATE PUBLICATION tieout FOR TABLE points"
        )
        source.run("ALTER TABLE points REPLICA IDENTITY FULL")
    else:
        source = MariaDBSource(server, "gtid")
        source.run(f"CREATE TABLE points ({COLUMNS.format('varchar(40)', 'decimal(12, 4)')}) CHARACTER SET utf8mb4")
    return request.param, await telling(source, request.param)


def test_a_feed_tells_all_that_a_bare_reader_is_asked(said) -> None:
    """Our own feeds conform, transaction by transaction."""
    dialect, found = said
    assert lacking(found, dialect) == ""
    assert sum(len(changes) for _, changes in found) == CHANGES


def test_a_reader_that_tells_less_is_noticed(said) -> None:
    """Rows before their changes, NULL, whole transactions, their bounds and their positions are all asked for."""
    dialect, found = said

    def changed(change):
        return [(place, [change(*both) for both in changes]) for place, changes in found]

    without_before = changed(lambda _, after: (None, after))
    without_null = changed(
        lambda before, after: (before, after and {name: value or "" for name, value in after.items()})
    )
    together = [(found[0][0], [both for _, changes in found for both in changes])]
    untouched = changed(lambda before, after: (before, after and {**after, "sku": None}))
    for less in (
        found[1:],
        found[:-1],
        without_before,
        without_null,
        together,
        untouched,
        [(1, one) for _, one in found],
    ):
        assert lacking(less, dialect)
