"""`tieout recon`, run as commands on an App in a folder of its own."""

from __future__ import annotations

import csv
import gc
import io
import json
import sqlite3
import sys
from html.parser import HTMLParser

import pytest

from tieout.cli import exits, main
from tieout.cli.recon import Progress
from tieout.database.sqlite import SqliteDatabase
from tieout.errors import DatabaseUnavailable

APP = """
import tieout
from tieout.recon import epoch, reached, same, side

DONE = reached("state", {"done"})
app = tieout.App("sqlite:///app.db")
app.rule(
    "redemption",
    upstream=side("sqlite:///points.db", table="change", key="id", when=DONE, at=epoch("at", "s")),
    downstream=side("sqlite:///prizes.db", table="prize", key="change_id", at=epoch("at", "s")),
    agree=[same("sku")],
    owner="points-team",
)
"""
NOON = 1_795_348_800
PERIOD = ("--period", "2026-11-22")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command beside the App; returns its status, output and errors."""
    (tmp_path / "compared.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIEOUT_APP", "compared:app")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, table in (
        ("points", "change (id INTEGER, state TEXT, sku TEXT, at INTEGER)"),
        ("prizes", "prize (change_id INTEGER, sku TEXT, at INTEGER)"),
    ):
        with sqlite3.connect(f"{name}.db") as database:
            database.execute(f"CREATE TABLE {table}")
        database.close()

    def run(*args: str):
        capsys.readouterr()
        status = main(["recon", *args])
        return status, *capsys.readouterr()

    main(["migrate"])
    yield run
    sys.modules.pop("compared", None)


def fill(name: str, sql: str, *rows) -> None:
    with sqlite3.connect(f"{name}.db") as database:
        database.executemany(sql, rows)
    database.close()


def hostile() -> None:
    """A pair that agrees, and one whose values are somebody's attack on whoever reads the report."""
    fill("points", "INSERT INTO change VALUES (?, 'done', ?, ?)", (1, "a", NOON), (2, "=cmd|'/c calc'!A1", NOON))
    fill("prizes", "INSERT INTO prize VALUES (?, ?, ?)", (1, "a", NOON), (2, "<script>alert(1)</script>", NOON))


def test_a_run_tells_what_it_found(command) -> None:
    """Totals and breaks come as text or as one document; the status says whether both sides agree."""
    hostile()
    status, out, _ = command("run", "redemption", *PERIOD)
    assert status == 1
    assert "broken" in out and "sku: =cmd|" in out
    status, out, _ = command("report", "redemption", *PERIOD, "--json")
    document = json.loads(out)
    assert (status, document["state"], document["totals"]["tied"]) == (1, "broken", 1)
    assert [(one["key"], one["outcome"]) for one in document["breaks"]] == [(["2"], "differs")]
    fill("prizes", "UPDATE prize SET sku = ? WHERE change_id = ?", ("=cmd|'/c calc'!A1", 2))
    assert command("run", "redemption", *PERIOD)[0] == 0
    status, out, _ = command("runs", "--json")
    assert (status, json.loads(out)["state"], json.loads(out)["attempt"]) == (0, "agreed", 2)


def test_reports_are_harmless(command, tmp_path) -> None:
    """What is stored runs nowhere: not as a formula in a spreadsheet, not as markup in a page, which loads nothing."""
    hostile()
    command("run", "redemption", *PERIOD)
    status, _, _ = command("report", "redemption", *PERIOD, "--csv", "out.csv", "--html", "out.html")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    page = (tmp_path / "out.html").read_text()
    found: list[tuple[str, list]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, attributes))
    parser.feed(page)
    assert status == 1
    assert [(row["key"], row["upstream"]) for row in rows] == [("2", "'=cmd|'/c calc'!A1")]
    assert "script" not in {tag for tag, _ in found}
    assert "&lt;script&gt;" in page
    assert not {name for _, attributes in found for name, _ in attributes} & {"src", "href", "onload"}


def test_a_period_is_stated(command, tmp_path) -> None:
    """As text, as a document, as CSV with all breaks, as a page; status 0 once each break was decided."""
    status, out, _ = command("statement", "redemption", *PERIOD)
    assert status == 1 and "incomplete" in out and "was not compared" in out
    hostile()
    command("run", "redemption", *PERIOD)
    assert command("statement", "redemption", *PERIOD)[0] == 1
    (listed,) = [json.loads(line) for line in command("breaks", "--json")[1].splitlines()]
    command("ignore", listed["id"], "--reason", "=1+1 <b>", "--actor", "ann")
    status, out, _ = command("statement", "redemption", *PERIOD, "--json")
    said = json.loads(out)
    assert (status, said["state"], said["why"], said["matched"]["tied"]) == (0, "balanced", [], 1)
    assert (said["found"]["differs"], said["ignored"], said["open"], said["closing"]) == (1, {"differs": 1}, {}, 0)
    (decided,) = said["decided"]
    assert (decided["key"], decided["actor"], decided["reason"]) == (["2"], "ann", "=1+1 <b>")
    status, out, _ = command("statement", "redemption", *PERIOD, "--csv", "out.csv", "--html", "out.html")
    assert status == 0 and "balanced" in out and "=1+1 <b>" in out
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert (row["key"], row["state"], row["decided by"], row["because"]) == ("2", "ignored", "ann", "'=1+1 <b>")
    page = (tmp_path / "out.html").read_text()
    assert "=1+1 &lt;b&gt;" in page and "balanced" in page and "<b>" not in page


def test_a_break_is_shown_with_its_history(command) -> None:
    """Both records, what differs, and what was done with it, by whom and why; an id of none is refused."""
    hostile()
    command("run", "redemption", *PERIOD)
    (listed,) = [json.loads(line) for line in command("breaks", "--json")[1].splitlines()]
    command("ignore", listed["id"], "--reason", "a test", "--actor", "ann")
    status, out, _ = command("show", listed["id"], "--json")
    shown = json.loads(out)
    assert (status, shown["state"], shown["upstream"]["count"]) == (0, "ignored", 1)
    assert [(one["actor"], one["action"], one["reason"]) for one in shown["acts"]] == [
        ("ann", "break-ignore", "a test")
    ]
    status, out, _ = command("show", listed["id"])
    assert status == 0 and "sku==cmd|" in out and "break-ignore" in out
    assert command("show", "0" * 32)[0] == 3


def test_given_rows_are_judged(command, tmp_path) -> None:
    """`test` says of each key what comparing would; rows in which nothing happened are left out."""
    (tmp_path / "up.json").write_text(
        json.dumps(
            [{"id": n, "state": state, "sku": "a", "at": NOON} for n, state in ((1, "done"), (2, "open"), (3, "done"))]
        )
    )
    (tmp_path / "down.json").write_text(
        json.dumps([{"change_id": 1, "sku": "a", "at": NOON}, {"change_id": 3, "sku": None, "at": NOON}])
    )
    files = ("--upstream", "up.json", "--downstream", "down.json")
    status, out, _ = command("test", "redemption", *files, "--json")
    assert status == 1
    assert [(one["key"], one["outcome"]) for one in map(json.loads, out.splitlines())] == [
        (["1"], "tied"),
        (["3"], "differs"),
    ]
    (tmp_path / "up.json").write_text('[{"id": 1, "state": "done"}]')
    status, _, err = command("test", "redemption", *files)
    assert (status, "has no at, sku" in err) == (3, True)


def test_rules_are_listed_and_checked(command) -> None:
    """`list` needs no database; `check` says how each field is compared, and refuses what is not there."""
    status, out, _ = command("list", "--json")
    listed = json.loads(out)
    assert (status, listed["rule"], listed["owner"], listed["offline"]) == (0, "redemption", "points-team", True)
    status, out, _ = command("check", "redemption", "--json")
    assert (status, json.loads(out)["fields"][0]["as"]) == (0, "text")
    with sqlite3.connect("prizes.db") as database:
        database.execute("ALTER TABLE prize DROP COLUMN sku")
    database.close()
    status, _, err = command("check", "redemption")
    assert (status, "[definition]" in err, "has no column 'sku'" in err) == (2, True, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run", "other", *PERIOD), "it has: redemption"),
        (("run", "redemption"), "name the period"),
        (("run", "redemption", "--period", "yesterday"), "is no day"),
        (("run", "redemption", *PERIOD, "--from", "2026-11-22"), "name the period"),
        (("report", "redemption", *PERIOD), "was not compared"),
        (("statement", "redemption"), "name the period"),
        (("test", "redemption", "--upstream", "x.json", "--downstream", "x.json"), "cannot be read"),
    ],
)
def test_wrong_input_is_told(command, args, message) -> None:
    """What cannot be done is told in one line, with its code, and nothing is compared."""
    status, _, err = command(*args)
    assert (status, "[config]" in err, message in err) == (2, True, True)


async def test_what_is_there_is_not_collected_again_and_again_while_breaks_are_judged() -> None:
    """Once both sides are read, the collector of garbage is kept from all that is there; and that once only."""
    progress = Progress()
    gc.unfreeze()
    try:
        await progress("reading upstream", 1_000)
        assert gc.get_freeze_count() == 0
        await progress("comparing", 0)
        kept = gc.get_freeze_count()
        assert kept > 10_000
        later = [[] for _ in range(1_000)]
        await progress("comparing", 0)
        assert gc.get_freeze_count() <= kept + len(later) // 2
    finally:
        gc.unfreeze()


def test_a_source_that_goes_away_is_told_by_its_code(command, monkeypatch) -> None:
    """Both sides are read beside each other: what ends one of them is told as if it were read alone."""

    async def gone(*_, **named):
        raise DatabaseUnavailable("the source has gone away")
        yield

    fill("points", "INSERT INTO change VALUES (?, 'done', ?, ?)", (1, "a", NOON))
    monkeypatch.setattr(SqliteDatabase, "stream", gone)
    status, out, err = command("run", "redemption", *PERIOD)
    assert (status, out) == (exits.DATABASE, "")
    assert err.splitlines()[-1] == "tieout: [database-unavailable] the source has gone away"
    assert "Traceback" not in err


def test_the_calendars_last_day_is_no_period(command) -> None:
    """It is a mistake of whoever wrote it, and told as one."""
    status, _, err = command("run", "redemption", "--period", "9999-12-31")
    assert status == exits.USAGE
    assert err == "tieout: [config] '9999-12-31' is the last day of the calendar, which has no end\n"
