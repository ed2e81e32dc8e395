"""The same rule in DuckDB and in Spark, over the same tables: the same verdicts, which are those that were planted."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
from zoneinfo import ZoneInfo

import pytest

import tieout
from tests.recon.prove import FILL, Proof, Sides
from tests.servers.postgres import FAST, Postgres
from tieout.cli import main
from tieout.recon import day, epoch, same, side
from tieout.recon.spark import Sieve

ROWS = 50_000
EACH = 5

APP = """
import tieout
from tieout.recon import epoch, same, side

app = tieout.App("sqlite:///app.db", sweep=False)
app.rule(
    "points",
    upstream=side("sqlite:///shop.db", table="ours", key="id", at=epoch("at", "s")),
    downstream=side("sqlite:///shop.db", table="theirs", key="id", at=epoch("at", "s")),
    agree=[same("qty")],
)
"""


@pytest.fixture(scope="module")
def server():
    """A server whose log may be followed, since the tables are those of the proof."""
    made = Postgres(**FAST, wal_level="logical")
    made.create()
    yield made
    made.remove()


async def test_verdicts_are_those_that_were_planted(cluster, server) -> None:
    """Each kind of difference at five places among 50,000 rows of both sides."""
    sides = Sides(server)
    await sides.make()
    proof = Proof(sides, None, rows=ROWS, each=EACH, kills=0, seed=7)
    for name in ("up", "down"):
        await sides.run(name, FILL[name].format(first=0, last=ROWS - 1))
    for one in proof.planted:
        for what in ("up", "down", "then_up", "then_down", "late"):
            await proof.do(one, what)
    async with sides.app as app:
        here = await proof.offline(app)
        there = await proof.offline(app, cluster.url)
        totals = [run.totals for run in await app.recon.runs("proved")]
    assert here == there == proof.expected
    assert totals[0] == totals[1]
    assert totals[0]["tied"] > ROWS


def test_the_command(cluster, tmp_path, monkeypatch, capsys) -> None:
    """`--engine spark` tells what the engine at hand does; it has to be told where, and may be by the environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(APP)
    with sqlite3.connect("shop.db") as shop:
        for name in ("ours", "theirs"):
            shop.execute(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, qty INT, at INT)")
            shop.executemany(f"INSERT INTO {name} VALUES (?, 1, 1795348800)", [(str(n),) for n in range(50)])
        shop.execute("UPDATE theirs SET qty = 2 WHERE id = '7'")
    assert main(["migrate", "--db", "sqlite:///app.db"]) == 0
    run = ["recon", "run", "points", "--period", "2026-11-22", "--app", "shop:app", "--json"]
    told = []
    capsys.readouterr()
    for more in ([], ["--engine", "spark", "--spark", cluster.url]):
        assert main([*run, *more]) == 1
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["totals"] == told[1]["totals"]
    assert [one["key"] for document in told for one in document["breaks"]] == [["7"]] * 2
    assert list((tmp_path / "recon").iterdir()) == []
    assert main([*run, "--engine", "spark"]) == 2
    assert "--spark" in capsys.readouterr().err
    monkeypatch.setenv("TIEOUT_SPARK", "sc://127.0.0.1:1")
    assert main([*run, "--engine", "spark"]) == 2
    assert "engine-failed" in capsys.readouterr().err


async def test_a_comparison_that_is_stopped_is_silent(cluster, tmp_path, monkeypatch) -> None:
    """Spark fails at work that is called off: nobody waits for that any more, and nothing is told of it."""
    loop, told, sifting = asyncio.get_running_loop(), [], asyncio.Event()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    sift = Sieve.sift

    def noted(self, *args):
        loop.call_soon_threadsafe(sifting.set)
        return sift(self, *args)

    monkeypatch.setattr(Sieve, "sift", noted)
    shop = f"sqlite:///{tmp_path}/shop.db"
    with sqlite3.connect(tmp_path / "shop.db") as filled:
        for name in ("ours", "theirs"):
            filled.execute(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, qty INT, at INT)")
            filled.executemany(f"INSERT INTO {name} VALUES (?, 1, 1795348800)", [(str(n),) for n in range(200_000)])
    ours, theirs = (side(shop, table=name, key="id", at=epoch("at", "s")) for name in ("ours", "theirs"))
    async with tieout.App(f"sqlite:///{tmp_path}/app.db", sweep=False) as app:
        app.rule("points", upstream=ours, downstream=theirs, agree=[same("qty")])
        period = day("2026-11-22", ZoneInfo("UTC"))
        comparing = asyncio.create_task(app.recon.run("points", period, folder=tmp_path, spark=cluster.url))
        await sifting.wait()
        comparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await comparing
    gc.collect()
    assert told == []
