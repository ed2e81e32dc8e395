"""What persons do with breaks, on each database: a repair is one process, decisions are audited, mending closes."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import tieout
from tests.recon.conftest import DAY, NOON
from tieout import Next, Transaction
from tieout.errors import NotAllowed
from tieout.recon import epoch, same, side


def app_on(url: str, folder) -> tieout.App:
    """An App on a database, with a rule between two files, and what repairs a key that is missing."""
    app = tieout.App(url, sweep=False, migrate=True)

    @app.register
    class SendPrize(tieout.Process[None], name="send-prize", key="request_id"):
        request_id: str
        change: str

        sent = tieout.Final[str]()

        @tieout.start(to="sent")
        async def note(self, tx: Transaction) -> Next:
            return self.sent(self.change)

    ours, theirs = (f"sqlite:///{folder}/{name}.db" for name in ("ours", "theirs"))
    app.rule(
        "redemption",
        upstream=side(ours, table="t", key="id", at=epoch("at", "us")),
        downstream=side(theirs, table="t", key="id", at=epoch("at", "us")),
        agree=[same("sku")],
        repair=lambda found: SendPrize(request_id=found.repair_key, change=str(found.key[0])),
    )
    return app


def write(folder, name: str, *rows: tuple[int, str]) -> None:
    with closing(sqlite3.connect(folder / f"{name}.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER, sku TEXT, at INTEGER)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", [(*row, NOON) for row in rows])


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_a_break_is_repaired_once_and_closed_when_it_agrees(made, tmp_path, dialect) -> None:
    """Asked for twice, a repair is one process; judged again before it helped, the break is open, and then closed."""
    write(tmp_path, "ours", (1, "a"), (2, "a"), (3, "a"))
    write(tmp_path, "theirs", (1, "a"))
    async with app_on(await made(dialect, "book"), tmp_path) as app:
        ran = await app.recon.run("redemption", DAY, folder=tmp_path / "runs")
        found = {one.key[0]: one for one in await app.recon.breaks(ran.id)}
        assert found.keys() == {"2", "3"}
        who = {"actor": "ann", "reason": "send it"}
        first = await app.recon.decide.repair(found["2"].id, **who)
        again = await app.recon.decide.repair(found["2"].id, **who)
        assert first.process == again.process is not None and again.state == "open"
        assert (await app.recon.decide.judge_again(found["2"].id, **who)).state == "open"
        write(tmp_path, "theirs", (2, "a"))
        assert (await app.recon.decide.judge_again(found["2"].id, **who)).state == "closed"
        with pytest.raises(NotAllowed, match="only an open one"):
            await app.recon.decide.repair(found["2"].id, **who)
        ignored = await app.recon.decide.ignore(found["3"].id, **who)
        settled = await app.recon.decide.settle(found["3"].id, **who)
        assert (ignored.state, settled.state) == ("ignored", "settled")
        _, acts = await app.recon.decide.history(found["2"].id)
        assert [one.action for one in acts] == ["break-repair"] * 2 + ["break-judge-again"] * 2
        listed = await app.recon.decide.list(state="")
        assert {one.key[0]: one.state for one in listed} == {"2": "closed", "3": "settled"}
