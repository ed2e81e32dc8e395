"""What became of a period: counts that add up over periods, decisions with their reasons, never balanced unseen."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import tieout
from tests.recon.conftest import DAY, NOON
from tieout.errors import DefinitionError
from tieout.recon import Period, epoch, ignore, same, side
from tieout.recon.store import NewBreak, live_run

LENGTH = DAY.until - DAY.since
EARLIER = Period(DAY.since - LENGTH, DAY.since)
LATER = Period(DAY.until, DAY.until + LENGTH)
WHO = {"actor": "ann", "reason": "sent by hand"}


def write(folder, name: str, *rows: tuple[int, str, int | None]) -> None:
    with closing(sqlite3.connect(folder / f"{name}.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER, sku TEXT, at INTEGER)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)


@pytest.fixture
def stated(tmp_path):
    """Makes an App on a database, with a rule between two files; the grace is a minute."""

    def make(url: str, **options) -> tieout.App:
        app = tieout.App(url, sweep=False, migrate=True)
        ours, theirs = (
            side(f"sqlite:///{tmp_path}/{name}.db", table="t", key="id", at=epoch("at", "us"))
            for name in ("ours", "theirs")
        )
        app.rule("redemption", upstream=ours, downstream=theirs, agree=[same("sku")], **{"grace": "1m", **options})
        return app

    return make


async def breaks_of(app, period: Period = DAY, state: str = "") -> dict[str, str]:
    found = await app.recon.breaks_of_period("redemption", period, state=state)
    return {"/".join(map(str, one.key)): one.state for one in found}


async def number(app, key: str) -> bytes:
    return next(one.id for one in await app.recon.decide.list(state="") if one.key == [key])


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_a_period_is_accounted_for(made, stated, tmp_path, dialect) -> None:
    """What is open from before, matched, found, decided and mended adds up; the next period begins where one ends."""
    before = NOON - LENGTH
    write(tmp_path, "ours", (1, "a", before), (2, "a", before))
    write(tmp_path, "theirs", (2, "a", before))
    write(tmp_path, "ours", *((key, "a", NOON) for key in (10, 11, 12, 13, 14, 15)))
    write(tmp_path, "theirs", (10, "a", NOON), (11, "a", NOON + 90_000_000), (12, "b", NOON), (16, "a", NOON))
    async with stated(await made(dialect, "book")) as app:
        for period in (EARLIER, DAY):
            await app.recon.run("redemption", period, folder=tmp_path / "runs")
        said = await app.recon.statement("redemption", DAY)
        assert (said.state, said.matched, said.opening) == ("open", {"tied": 1, "late-tied": 1}, {"missing": 1})
        assert said.found == {"missing": 3, "orphan": 1, "differs": 1, "duplicate": 0}
        assert (said.closing, said.coverage, said.versions) == (6, 1.0, (said.rule.version,))
        assert await breaks_of(app) == dict.fromkeys(("12", "13", "14", "15", "16"), "open")
        await app.recon.decide.settle(await number(app, "12"), **WHO)
        await app.recon.decide.ignore(await number(app, "13"), **WHO)
        write(tmp_path, "theirs", (14, "a", NOON))
        write(tmp_path, "ours", (16, "a", NOON))
        await app.recon.decide.judge_again(await number(app, "14"), **WHO)
        said = await app.recon.statement("redemption", DAY)
        assert {state: dict(counts) for state, counts in said.breaks.items()} == {
            "open": {"missing": 1, "orphan": 1},
            "settled": {"differs": 1},
            "ignored": {"missing": 1},
            "closed": {"missing": 1},
        }
        following = await app.recon.statement("redemption", LATER)
        assert sum(following.opening.values()) == said.closing == 3
        assert (await app.recon.run("redemption", DAY, folder=tmp_path / "runs")).totals["tied"] == 3
        await app.recon.decide.settle(await number(app, "15"), **WHO)
        said = await app.recon.statement("redemption", DAY)
        assert (said.state, said.why, said.closing) == ("balanced", (), 1)
        assert await breaks_of(app, state="settled") == {"12": "settled", "15": "settled"}


async def test_a_period_is_balanced_only_when_it_was_seen(made, stated, tmp_path) -> None:
    """Not compared, compared early, failed, empty, by an older version, rows without a time: each is incomplete."""
    url = await made("sqlite", "book")
    write(tmp_path, "ours", (1, "a", NOON))
    write(tmp_path, "theirs", (1, "a", NOON))

    async def why(period: Period = DAY, **options) -> tuple[str, ...]:
        async with stated(url, **options) as app:
            said = await app.recon.statement("redemption", period)
            assert said.state == "incomplete" or not said.why
            return said.why

    async def run(period: Period = DAY, **options) -> str:
        async with stated(url) as app:
            return (await app.recon.run("redemption", period, folder=tmp_path / "runs", **options)).state

    assert await why() == ("it was not compared",)
    assert await run() == "agreed" and await why() == ()
    assert await why(grace="2m") == ("the rule has changed since it was compared",)
    assert await run(EARLIER) == "empty" and await why(EARLIER) == ("its latest comparison is empty",)
    ahead = Period(DAY.since, DAY.until + 3_650 * LENGTH)
    assert await run(ahead, unfinished=True) == "agreed"
    assert await why(ahead) == ("it was compared before it and the grace were over",)
    write(tmp_path, "ours", (2, "a", None))
    assert await run() == "broken" and await why() == ("1 rows have no time",)
    (tmp_path / "theirs.db").unlink()
    with pytest.raises(tieout.errors.ConfigError):
        await run()
    assert await why() == ("its latest comparison is failed",)


async def test_what_is_found_live_belongs_to_its_business_time(made, stated, tmp_path) -> None:
    """A break of no comparison is of the period of its records; one of no known time leaves each incomplete."""
    write(tmp_path, "ours", (1, "a", NOON))
    write(tmp_path, "theirs", (1, "a", NOON))
    async with stated(await made("sqlite", "book")) as app:
        live = live_run(app.recon.named("redemption"))
        await app.recon.run("redemption", DAY, folder=tmp_path / "runs")
        await app.database.transact(lambda tx: app.recon.store.note(tx, live, [live_break("1", NOON)]))
        assert await breaks_of(app) == {"1": "open"} and await breaks_of(app, LATER) == {}
        assert (await app.recon.statement("redemption", DAY)).state == "open"
        await app.database.transact(lambda tx: app.recon.store.note(tx, live, [live_break("2", None)]))
        assert (await app.recon.statement("redemption", DAY)).why == ("1 open breaks are of no known time",)


async def test_what_the_rule_leaves_out_is_told(made, stated, tmp_path) -> None:
    """Ignored times with their reasons, keys that are not sampled, and a rule of no period is refused."""
    write(tmp_path, "ours", (1, "a", NOON), (2, "a", NOON + 1))
    write(tmp_path, "theirs", (2, "a", NOON + 1))
    window = ignore("2026-11-22T12:00:00", "2026-11-22T12:00:00.000001", "a move")
    async with stated(await made("sqlite", "book"), ignore=[window]) as app:
        await app.recon.run("redemption", DAY, folder=tmp_path / "runs")
        said = await app.recon.statement("redemption", DAY)
        assert (said.state, said.excluded["ignored"], [one.reason for one in said.ignores]) == (
            "balanced",
            1,
            ["a move"],
        )
        assert (await app.recon.statement("redemption", LATER)).ignores == ()
        ours = side(f"sqlite:///{tmp_path}/ours.db", table="t", key="id")
        app.rule("live", upstream=ours, downstream=ours, agree=[same("sku")])
        with pytest.raises(DefinitionError, match="has no at="):
            await app.recon.statement("live", DAY)
    write(tmp_path, "ours", *((key, "a", NOON) for key in range(10, 200)))
    write(tmp_path, "theirs", *((key, "a", NOON) for key in range(10, 200)))
    async with stated(await made("sqlite", "other"), sample=0.5) as app:
        await app.recon.run("redemption", DAY, folder=tmp_path / "runs")
        assert (await app.recon.statement("redemption", DAY)).coverage == 0.5


def live_break(key: str, at: int | None) -> NewBreak:
    nothing = {"count": 0, "records": []}
    detail = {"sides": [], "differences": [], "upstream": nothing, "downstream": nothing, "causes": []}
    return NewBreak((key,), "duplicate", detail, at=at)
