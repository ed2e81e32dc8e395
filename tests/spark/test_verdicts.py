"""The same rule in DuckDB and in Spark, over the same tables: the same verdicts, which are those that were planted."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.recon.prove import FILL, Proof, Sides
from tests.servers.postgres import FAST, Postgres
from tieout.cli import main

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
