"""`tieout audit`: what persons did, and whether that is still as it was written."""

from __future__ import annotations

import sqlite3


def held(shop, count: int) -> list[str]:
    """Processes that were held, each an act."""
    processes = [shop.start(f"r-{n}") for n in range(count)]
    for process in processes:
        assert shop.run("process", "hold", process, "--reason", "recalled").status == 0
    return processes


def tamper(shop, statement: str) -> None:
    with sqlite3.connect(shop.file) as database:
        database.execute(statement)
    database.close()


def test_lists_what_was_done(shop):
    """The newest first, narrowed by person, object and kind of act, in pages that follow each other."""
    processes = held(shop, 3)
    assert shop.run("process", "resume", processes[0], "--reason", "found", "--actor", "bob").status == 0

    def listed(*filters: str) -> list[tuple[str, str]]:
        acts = shop.run("audit", "list", "--json", *filters).documents
        return [(act["action"], act["object"]) for act in acts]

    holds = [("hold", process) for process in reversed(processes)]
    assert listed() == [("resume", processes[0]), *holds]
    assert listed("--by", "bob") == [("resume", processes[0])]
    assert listed("--action", "hold", "--object", processes[1]) == [("hold", processes[1])]
    page = shop.run("audit", "list", "--limit", "2")
    assert [line.split()[3] for line in page.out.splitlines()] == ["ACTION", "resume", "hold"]
    before = page.err.split("--before ")[1].strip()
    assert listed("--before", before) == holds[1:]


def test_an_intact_audit_is_told_with_its_end(shop):
    """Status 0; what is noted as the end is what a later check begins behind."""
    held(shop, 2)
    told = shop.run("audit", "verify", "--json")
    assert (told.status, told.document["intact"], told.document["chained"]) == (0, True, 2)
    held_more = shop.start("r-9")
    shop.run("process", "hold", held_more, "--reason", "recalled")
    later = shop.run("audit", "verify", "--json", "--since", told.document["end"]).document
    assert (later["intact"], later["chained"]) == (True, 1)
    assert f"end {later['end']}" in shop.run("audit", "verify").out


def test_what_was_tampered_with_is_told(shop):
    """Status 1, and each fault with the rows that it is about."""
    held(shop, 4)
    tamper(shop, "UPDATE tieout_audit SET reason = 'nothing' WHERE number = 2")
    tamper(shop, "DELETE FROM tieout_audit WHERE number = 4")
    told = shop.run("audit", "verify", "--json")
    assert told.status == 1
    assert [(one["wrong"], one["first"], one["last"]) for one in told.document["faults"]] == [
        ("changed", 2, 2),
        ("removed", 4, 4),
    ]
    lines = shop.run("audit", "verify").out.splitlines()
    assert lines[:2] == ["changed: row 2 is not as it was written", "removed: row 4 is missing"]


def test_an_anchor_that_is_none_is_refused(shop):
    """Status 2, before anything is looked at."""
    for wrong in ("5", "0:" + "a" * 64, "5:abc"):
        refused = shop.run("audit", "verify", "--since", wrong)
        assert (refused.status, refused.out) == (2, "")
        assert "[config]" in refused.err
