"""Odd money, times and keys, followed on a real server: told as comparing offline tells them."""

from __future__ import annotations

import pytest

from tests.feeds.sources import postgres_server
from tests.recon.conftest import compared, run
from tests.recon.test_live import Shop
from tieout.recon import same, side

TABLE = "CREATE TABLE t (a text, b text, cost numeric, at timestamptz)"
FED = ("ALTER TABLE t REPLICA IDENTITY FULL", "CREATE PUBLICATION tieout FOR TABLE t")
HUGE = "9" * 60
LAST = "2026-11-22 23:59:59.999999+00"

OURS = (
    *(("'a'", "'bc'", "1", LAST), ("'ab'", "'c'", "1", LAST), ("'Case'", "'x'", "1", LAST)),
    *(("'nan'", "'x'", "'NaN'", LAST), ("'huge'", "'x'", f"{HUGE}.1", LAST), ("'huge'", "'y'", f"{HUGE}.1", LAST)),
    *(("'null'", "NULL", "1", LAST), ("'twice'", "'here'", "1", LAST), ("'twice'", "'here'", "1", LAST)),
    *(("'twice'", "'both'", "1", LAST), ("'twice'", "'both'", "1", LAST)),
)
THEIRS = (
    *(("'a'", "'bc'", "1.0", LAST), ("'ab'", "'c'", "2", LAST), ("'case'", "'x'", "1", LAST)),
    *(("'nan'", "'x'", "'NaN'", LAST), ("'huge'", "'x'", f"{HUGE}.10", LAST), ("'huge'", "'y'", f"{HUGE}.2", LAST)),
    *(("'null'", "NULL", "1", LAST), ("'twice'", "'here'", "1", LAST)),
    *(("'twice'", "'both'", "1", LAST), ("'twice'", "'both'", "1", LAST)),
)
TOLD = {
    ("ab", "c"): {"differs"},
    ("Case", "x"): {"missing"},
    ("case", "x"): {"orphan"},
    ("nan", "x"): {"differs"},
    ("huge", "y"): {"differs"},
    ("null", None): {"missing", "orphan"},
    ("twice", "here"): {"duplicate"},
    ("twice", "both"): {"duplicate"},
}


@pytest.fixture
def server():
    server = postgres_server()
    try:
        server.create()
        yield server
    finally:
        server.remove()


def by_key(breaks) -> dict[tuple[str | None, ...], set[str]]:
    found: dict[tuple[str | None, ...], set[str]] = {}
    for one in breaks:
        found.setdefault(tuple(one.key), set()).add(one.outcome)
    return found


def inserted(rows) -> str:
    values = ", ".join(f"({a}, {b}, {cost}, '{at}')" for a, b, cost, at in rows)
    return f"INSERT INTO t VALUES {values}"


async def test_odd_values_are_told_alike_live_and_offline(app, server, tmp_path) -> None:
    """NaN, sixty digits, the last microsecond of a day, keys in two cases, alike when joined, NULL, twice."""
    ours, theirs = (server.url(server.database()) for _ in range(2))
    for url in (ours, theirs):
        await run(url, TABLE, *FED)
    async with app() as opened:
        shop = Shop(opened, tmp_path)
        sides = [side(url, table="t", key=("a", "b"), at="at") for url in (ours, theirs)]
        opened.rule("odd", upstream=sides[0], downstream=sides[1], agree=[same("cost")], grace="0.3s")

        async def told():
            return by_key(await opened.recon.decide.list(state="open", limit=100))

        async with shop.watched():
            await run(ours, inserted(OURS))
            await run(theirs, inserted(THEIRS))
            await shop.until(told, TOLD)
            await shop.until_counted(tied=2, waiting=0)
        _, breaks = await compared(opened, "odd", tmp_path)
        assert {key: {one.outcome} for key, one in breaks.items() if None not in key} == {
            key: outcomes for key, outcomes in TOLD.items() if None not in key
        }
