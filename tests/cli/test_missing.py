"""`tieout process missing` and `recheck`: what downstreams did, and what is here."""

from __future__ import annotations

import io
import sys

import pytest

from tieout.cli import missing

GONE = "00" * 16 + ":1"


@pytest.mark.parametrize("page", [1, 2, 500])
def test_what_a_downstream_did_for_nobody_is_printed(shop, monkeypatch, page):
    """Of a list with other columns, a header and empty lines: the keys of no process, and a status that says so."""
    monkeypatch.setattr(missing, "PAGE", page)
    there = shop.start()
    (shop.folder / "keys.csv").write_text(f'key,at\n"{there}:1",noon\n\n{GONE},one\n{there}:2;two\n')
    found = shop.run("process", "missing", "keys.csv")
    assert (found.status, found.out) == (1, f"{GONE}\n{there}:2\n")
    assert "3 call keys, 2 of no process; 1 other lines" in found.err


def test_nothing_is_missing(shop, monkeypatch):
    """The list may come on standard input; with --json the counts are last."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{shop.start()}:1\n"))
    found = shop.run("process", "missing", "-", "--json")
    assert (found.status, found.document) == (0, {"keys": 1, "missing": 0, "foreign": 0})


def test_each_missing_key_is_a_document(shop):
    """One a line, and the counts behind them."""
    (shop.folder / "keys").write_text(f"{GONE}\n")
    found = shop.run("process", "missing", "keys", "--json")
    assert found.documents == [{"missing": GONE}, {"keys": 1, "missing": 1, "foreign": 0}]


def test_a_file_that_is_not_there(shop):
    """It is named, and nothing is compared."""
    found = shop.run("process", "missing", "nowhere.csv")
    assert (found.status, found.out) == (2, "")
    assert "nowhere.csv cannot be read" in found.err


def test_one_process_is_rechecked(shop):
    """Its downstream is asked although it has ended, and what it says is told."""
    process = shop.start()
    shop.run("process", "query", process, "--reason", "first")
    shop.feels(query="not-found")
    found = shop.run("process", "recheck", process, "--reason", "failover", "--json")
    assert (found.status, found.document["answers"]) == (0, ["notfound"])
    (alarm,) = shop.run("alarm", "list", "--json").documents
    assert alarm["kind"] == "conflict"


def test_all_of_a_window_are_rechecked(shop):
    """Those that have ended too, the count first."""
    for n in range(2):
        shop.run("process", "query", shop.start(f"r-{n}"), "--reason", "first")
    found = shop.run("process", "recheck", "--all", "--since", "1h", "--yes", "--reason", "failover")
    assert (found.status, found.out) == (0, "2 rechecked, 0 skipped, 0 failed, of 2\nanswers: 2 succeeded\n")
    assert "recheck: 2 processes" in found.err
