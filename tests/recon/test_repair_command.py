"""`tieout recon run`, `repair`, `judge`, `statement` and `abort` on each database that an App may be on."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest

from tieout.cli import main

APP = """
import os

import tieout
from tieout import Next, Transaction
from tieout.recon import epoch, same, side

app = tieout.App(os.environ["BOOK_URL"])


@app.register
class SendPrize(tieout.Process[None], name="send-prize", key="request_id"):
    request_id: str
    change: str

    sent = tieout.Final[str]()

    @tieout.start(to="sent")
    async def note(self, tx: Transaction) -> Next:
        return self.sent(self.change)


app.rule(
    "redemption",
    upstream=side("sqlite:///ours.db", table="t", key="id", at=epoch("at", "s")),
    downstream=side("sqlite:///theirs.db", table="t", key="id", at=epoch("at", "s")),
    agree=[same("sku")],
    repair=lambda found: SendPrize(request_id=found.repair_key, change=str(found.key[0])),
)
"""
NOON = 1_795_348_800
PERIOD = ("--period", "2026-11-22")
WHO = ("--actor", "ann", "--reason", "send it")


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def url(request, servers, tmp_path) -> str:
    return f"sqlite:///{tmp_path}/book.db" if request.param == "sqlite" else servers(request.param)


@pytest.fixture
def command(url, tmp_path, monkeypatch, capsys):
    """Runs a command beside the App; returns its status and the documents that it printed."""
    (tmp_path / "repaired.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIEOUT_APP", "repaired:app")
    monkeypatch.setenv("BOOK_URL", url)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def run(*args: str):
        capsys.readouterr()
        status = main([*args, "--json"])
        return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    main(["migrate"])
    yield run
    sys.modules.pop("repaired", None)


def write(name: str, *keys: int) -> None:
    with closing(sqlite3.connect(f"{name}.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER, sku TEXT, at INTEGER)")
        database.executemany("INSERT INTO t VALUES (?, 'a', ?)", [(key, NOON) for key in keys])


def test_breaks_are_repaired_by_commands(command) -> None:
    """One process for what was found, however often; the break is open until it agrees, and then closed."""
    write("ours", 1, 2, 3)
    write("theirs", 1)
    assert command("recon", "run", "redemption", *PERIOD)[0] == 1
    _, listed = command("recon", "breaks", "redemption")
    ids = {one["key"][0]: one["id"] for one in listed}
    assert ids.keys() == {"2", "3"}
    _, (first,) = command("recon", "repair", ids["2"], *WHO)
    _, (again,) = command("recon", "repair", ids["2"], *WHO)
    assert (first["state"], first["process"]) == ("open", again["process"])
    _, (shown,) = command("process", "show", first["process"])
    assert (shown["type"], shown["state"]) == ("send-prize", "sent")
    assert command("recon", "judge", ids["2"], *WHO)[0] == 1
    write("theirs", 2)
    status, (judged,) = command("recon", "judge", ids["2"], *WHO)
    assert (status, judged["state"]) == (0, "closed")
    assert command("recon", "repair", ids["2"], *WHO)[0] != 0
    command("recon", "settle", ids["3"], *WHO)
    status, (said,) = command("recon", "statement", "redemption", *PERIOD)
    assert (status, said["state"], said["settled"], said["mended"]) == (0, "balanced", {"missing": 1}, {"missing": 1})
    assert [one["reason"] for one in said["decided"]] == ["send it"]
    _, (detail,) = command("recon", "show", ids["2"])
    assert [one["action"] for one in detail["acts"]] == ["break-repair"] * 2 + ["break-judge-again"] * 2
    _, (ran,) = command("recon", "runs", "redemption")
    assert (ran["state"], ran["attempt"]) == ("broken", 1)
    assert command("recon", "abort", ran["id"], *WHO)[0] != 0
