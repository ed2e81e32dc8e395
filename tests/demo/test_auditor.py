"""The auditor finds each kind of disagreement, planted by hand in small databases."""

from __future__ import annotations

import ast
import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from tieout.demo import tables
from tieout.demo.points import auditor, prize_service

MALL = """
CREATE TABLE tieout_process (id BLOB, type TEXT, owner BLOB, request_key BLOB, state TEXT, status TEXT, trail TEXT,
    result TEXT);
CREATE TABLE tieout_alarm (kind TEXT, object TEXT, state TEXT);
CREATE TABLE account (name TEXT, granted INTEGER, points INTEGER);
CREATE TABLE points_change (id TEXT, account TEXT, delta INTEGER, reason TEXT);
CREATE TABLE catalogue (sku TEXT, price INTEGER);
INSERT INTO catalogue VALUES ('mug', 120), ('umbrella', 350);
"""
PRIZES = """
CREATE TABLE prize (order_key TEXT, sku TEXT, quantity INTEGER, code TEXT, status TEXT);
CREATE TABLE callback (way TEXT, state TEXT);
"""


class Worlds:
    """A mall and a prize service that agree, with rows to be broken by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mall = sqlite3.connect(folder / "mall.db", isolation_level=None)
        self.prizes = sqlite3.connect(folder / "prizes.db", isolation_level=None)
        self.mall.executescript(MALL)
        self.prizes.executescript(PRIZES)

    def process(self, number: int, state: str, *, status: str = "final", source: str = "immediate") -> str:
        """One process of user u with its points; the prize is another call. Its id."""
        process = number.to_bytes(16, "big")
        result = json.dumps({"code": f"C{number}"}) if state == "completed" else '"out_of_stock"'
        trail = json.dumps([{"to": "issue", "source": "immediate"}, {"to": state, "source": source}])
        row = (process, b"u", f"r{number}".encode(), state, status, trail, result)
        self.mall.execute("INSERT INTO tieout_process VALUES (?, 'redeem', ?, ?, ?, ?, ?, ?)", row)
        self.change(process.hex(), -240, "redeemed")
        if state == "refunded":
            self.change(process.hex(), 240, "refunded")
        self.answer(number)
        return process.hex()

    def change(self, process: str, delta: int, reason: str) -> None:
        self.mall.execute("INSERT INTO points_change VALUES (?, 'u', ?, ?)", (process, delta, reason))

    def prize(self, process: str, *, n: int = 1, status: str = "SUCCEEDED", sku: str = "mug", quantity: int = 2):
        row = (f"{process}:{n}", sku, quantity, f"C{int(process, 16)}", status)
        self.prizes.execute("INSERT INTO prize VALUES (?, ?, ?, ?, ?)", row)

    def answer(self, number: int, *, http: int = 200, replayed: bool = False, quantity: int = 2) -> None:
        order = {"key": f"r{number}", "user": "u", "sku": "mug", "quantity": quantity}
        line = {**order, "http": http, "replayed": replayed}
        with (self.folder / "clients.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def alarm(self, process: str, state: str = "open") -> None:
        self.mall.execute("INSERT INTO tieout_alarm VALUES ('conflict', ?, ?)", (f"{process}:1", state))

    def plant(self, process: str) -> None:
        with (self.folder / "conflicts.jsonl").open("a") as log:
            log.write(json.dumps({"key": f"{process}:1"}) + "\n")

    def audit(self, granted: int = 1_000) -> tuple[dict[str, object], list[auditor.Finding]]:
        """Settle the account by its changes, and audit."""
        moved = self.mall.execute("SELECT coalesce(sum(delta), 0) FROM points_change WHERE account = 'u'").fetchone()[0]
        self.mall.execute("INSERT INTO account VALUES ('u', ?, ?)", (granted, granted + moved))
        return self.judge()

    def judge(self) -> tuple[dict[str, object], list[auditor.Finding]]:
        paths = [str(self.folder / name) for name in ("mall.db", "prizes.db")]
        logs = [self.folder / name for name in ("clients.jsonl", "conflicts.jsonl")]
        facts = asyncio.run(auditor.gather(*paths, *logs))
        found = auditor.judge(facts)
        return auditor.summary(facts, found, kills=0, broker="none"), found

    def close(self) -> None:
        self.mall.close()
        self.prizes.close()


@pytest.fixture
def worlds(tmp_path):
    made = Worlds(tmp_path)
    yield made
    made.close()


def kinds(found: list[auditor.Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.key) for finding in found]


def test_two_sides_that_agree(worlds):
    """Completed with its prize, refunded without one: agreement, with every figure counted."""
    worlds.prize(worlds.process(1, "completed", source="push"))
    worlds.prize(worlds.process(2, "refunded", source="sweep"), status="FAILED")
    worlds.process(3, "refunded")
    worlds.answer(1, replayed=True)
    worlds.answer(1, http=409, quantity=3)
    worlds.answer(9, http=422)
    for way, state in (("callback", "acknowledged"), ("message", "acknowledged"), ("message", "abandoned")):
        worlds.prizes.execute("INSERT INTO callback VALUES (?, ?)", (way, state))
    figures, found = worlds.audit()
    assert found == []
    assert figures == {
        "accepted": 3,
        "final": 3,
        "held": 0,
        "completed": 1,
        "refunded": 2,
        "duplicates": 1,
        "refused": 2,
        "conflicts_planted": 0,
        "conflicts_alarmed": 0,
        "unexplained": 0,
        "lost": 0,
        "double": 0,
        "by_way": {"immediate": 1, "query": 0, "push": 1, "sweep": 1},
        "told_by": {"callback": 1, "message": 1, "given up": 1},
        "broker": "none",
        "visits": 0,
        "kills": 0,
        "agreement": True,
    }
    assert list(figures)[-1] == "agreement"


def test_acknowledged_and_lost(worlds):
    """A request that was acknowledged and has no process is lost."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.answer(2, http=202)
    figures, found = worlds.audit()
    assert kinds(found) == [("lost", "r2")]
    assert figures["lost"] == 1 and figures["agreement"] is False


def test_two_prizes_for_one_request(worlds):
    """Two prizes under two call keys of one process are double."""
    process = worlds.process(1, "completed")
    worlds.prize(process)
    worlds.prize(process, n=2)
    assert kinds(worlds.audit()[1]) == [("double", "r1")]


@pytest.mark.parametrize(("delta", "reason"), [(-240, "redeemed"), (240, "refunded")])
def test_points_moved_twice(worlds, delta, reason):
    """Points taken twice, or given back twice, are double."""
    process = worlds.process(1, "refunded")
    worlds.change(process, delta, reason)
    assert kinds(worlds.audit()[1]) == [("double", "r1")]


def test_completed_without_prize(worlds):
    """Points are gone and the prize service knows of no prize, or says that it failed."""
    worlds.process(1, "completed")
    worlds.prize(worlds.process(2, "completed"), status="FAILED")
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1"), ("unexplained", "r2")]


def test_refunded_with_prize(worlds):
    """Points went back although the prize was issued."""
    worlds.prize(worlds.process(1, "refunded"))
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


@pytest.mark.parametrize("wrong", [{"sku": "umbrella"}, {"quantity": 3}])
def test_another_prize_than_asked_for(worlds, wrong):
    """A prize of another sku or quantity is no agreement."""
    worlds.prize(worlds.process(1, "completed"), **wrong)
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_another_code_than_issued(worlds):
    """The prize that the mall shows its user must be the one that was issued."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.prizes.execute("UPDATE prize SET code = 'X'")
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_refunded_without_points_back(worlds):
    """A refund that moved no points is found."""
    process = worlds.process(1, "refunded")
    worlds.mall.execute("DELETE FROM points_change WHERE id = ? AND reason = 'refunded'", (process,))
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_wrong_price(worlds):
    """Fewer points than the price are found."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.mall.execute("UPDATE points_change SET delta = -1")
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_points_of_somebody_else(worlds):
    """Points taken from another account than the owner's are found."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.mall.execute("UPDATE points_change SET account = 'v'")
    worlds.mall.execute("INSERT INTO account VALUES ('v', 1000, 760)")
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_balance_that_does_not_add_up(worlds):
    """A balance that is not what was granted and changed, or below zero, is found."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.mall.execute("INSERT INTO account VALUES ('v', 10, 11), ('w', -1, -1)")
    assert kinds(worlds.audit()[1]) == [("unexplained", "v"), ("unexplained", "w")]


def test_still_running(worlds):
    """A process that never came to an end breaks the agreement."""
    worlds.process(1, "issue", status="running")
    figures, found = worlds.audit()
    assert kinds(found) == [("unexplained", "r1")] and figures["agreement"] is False


@pytest.mark.parametrize(("state", "status"), [("completed", "FAILED"), ("refunded", "SUCCEEDED")])
def test_a_conflict_with_its_alarm_is_explained(worlds, state, status):
    """Sides that differ because the prize service contradicted itself are explained by one open alarm."""
    process = worlds.process(1, state)
    worlds.prize(process, status=status)
    worlds.plant(process)
    worlds.plant(process)  # a kill may repeat the line
    worlds.alarm(process)
    figures, found = worlds.audit()
    assert found == [] and figures["agreement"] is True
    assert (figures["conflicts_planted"], figures["conflicts_alarmed"]) == (1, 1)


@pytest.mark.parametrize("alarms", [[], ["resolved"], ["open", "open"]])
def test_a_conflict_without_exactly_one_open_alarm(worlds, alarms):
    """No alarm, a closed one, or two of them explain nothing."""
    process = worlds.process(1, "completed")
    worlds.prize(process, status="FAILED")
    worlds.plant(process)
    for state in alarms:
        worlds.alarm(process, state)
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_an_alarm_that_nothing_planted(worlds):
    """A false alarm is found."""
    process = worlds.process(1, "completed")
    worlds.prize(process)
    worlds.alarm(process)
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_held_needs_its_conflict(worlds):
    """A held process counts beside the final ones, and needs a planted conflict with its open alarm."""
    process = worlds.process(1, "issue", status="held")
    worlds.prize(process)
    assert {kind for kind, _ in kinds(worlds.audit()[1])} == {"unexplained"}
    worlds.plant(process)
    worlds.alarm(process)
    figures, found = worlds.judge()
    assert found == [] and figures["held"] == 1 and figures["agreement"] is True


def test_strangers_on_either_side(worlds):
    """Rows that belong to no process are found: a prize, a change of points, an alarm."""
    worlds.prize(worlds.process(1, "completed"))
    ids = [n.to_bytes(16, "big").hex() for n in (7, 8, 9)]
    worlds.prize(ids[0])
    worlds.change(ids[1], -240, "redeemed")
    worlds.alarm(ids[2])
    assert kinds(worlds.audit()[1]) == [("unexplained", process) for process in ids]


def test_one_key_accepted_twice_with_other_params(worlds):
    """A changed repetition that was accepted is found, whatever the rows say."""
    worlds.prize(worlds.process(1, "completed"))
    worlds.answer(1, quantity=3)
    assert kinds(worlds.audit()[1]) == [("unexplained", "r1")]


def test_a_process_that_no_client_knows(worlds):
    """A process whose client was never told of it is found: every user asks until there is an answer."""
    worlds.prize(worlds.process(1, "completed"))
    (worlds.folder / "clients.jsonl").unlink()
    figures, found = worlds.audit()
    assert kinds(found) == [("unexplained", "r1")] and figures["agreement"] is False


def test_a_visitor_of_the_page_keeps_no_log(worlds):
    """What a person asked for on the page counts as accepted, and is held against both sides like everything else."""
    process = worlds.process(1, "completed")
    (worlds.folder / "clients.jsonl").unlink()
    worlds.mall.execute("UPDATE tieout_process SET owner = ?", (b"visitor",))
    worlds.mall.execute("UPDATE points_change SET account = 'visitor'")
    worlds.mall.execute("INSERT INTO account VALUES ('visitor', 1000, 760)")
    worlds.prize(process)
    figures, found = worlds.audit()
    assert (found, figures["accepted"], figures["visits"], figures["agreement"]) == ([], 1, 1, True)
    worlds.prizes.execute("DELETE FROM prize")
    assert kinds(worlds.judge()[1]) == [("unexplained", "r1")]


def test_nothing_accepted_is_no_agreement(worlds):
    """A run in which nothing happened shows nothing."""
    assert worlds.audit()[0]["agreement"] is False


def imported(path: Path) -> set[str]:
    """The absolute modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


def test_auditor_and_prize_service_know_nothing_of_tieout():
    """Neither imports tieout, so that a mistake of tieout's cannot hide itself; auditors read tables by plain SQL."""
    files = [Path(auditor.__file__), Path(tables.__file__), *Path(prize_service.__file__).parent.glob("*.py")]
    assert len(files) > 4
    for file in files:
        taken = {name for name in imported(file) if name.partition(".")[0] == "tieout"}
        assert taken <= ({"tieout.demo.tables"} if file == Path(auditor.__file__) else set()), file
