"""`tieout process COMMAND --all`: counts first, asks, shows how far it is, and says what it came to."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager

import pytest

from tests.cli.conftest import TIEOUT
from tieout.cli import bulk

WHY = ["--reason", "the supplier is down"]


def statuses(shop):
    """The status of each process, by request key."""
    return {one["key"]: one["status"] for one in shop.run("process", "list", "--json").documents}


def test_many_are_held_and_resumed(shop):
    """All that match have the command given, and each shows who did it and why."""
    ids = [shop.start(f"r-{n}") for n in range(3)]
    held = shop.run("process", "hold", "--all", "--yes", *WHY)
    assert (held.status, held.out) == (0, "3 held, 0 skipped, 0 failed, of 3\n")
    assert "hold: 3 processes (no filter)" in held.err
    assert set(statuses(shop).values()) == {"held"}
    (act,) = shop.run("process", "show", ids[0], "--json").document["audit"]
    assert (act["actor"], act["action"], act["reason"]) == ("alice", "hold", "the supplier is down")
    assert shop.run("process", "resume", "--all", "--yes", *WHY).out == "3 resumed, 0 skipped, 0 failed, of 3\n"
    assert set(statuses(shop).values()) == {"running"}


def test_many_are_retried_and_cancelled(shop):
    """Retried ones are due now; only types with a step for it are cancelled, the others are skipped."""
    shop.start("r-1")
    shop.inside(lambda app, module: app.start(module.Reminder(request_id="m-1")))
    assert shop.run("process", "retry", "--all", "--yes", *WHY).out == "2 retried, 0 skipped, 0 failed, of 2\n"
    assert shop.run("process", "cancel", "--all", "--yes", *WHY).out == "1 to be cancelled, 1 skipped, 0 failed, of 2\n"


def test_many_are_queried(shop):
    """Downstreams are asked one after another, and their answers counted."""
    for n in range(2):
        shop.start(f"r-{n}")
    queried = shop.run("process", "query", "--all", "--yes", *WHY)
    assert queried.out == "2 queried, 0 skipped, 0 failed, of 2\nanswers: 2 succeeded\n"
    assert set(statuses(shop).values()) == {"final"}


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_nobody_is_there_to_ask(shop, json):
    """Without --yes, and without a terminal, the count is shown and nothing is done."""
    shop.start()
    refused = shop.run("process", "hold", "--all", *WHY, *json)
    assert (refused.status, refused.out) == (2, "")
    assert "hold: 1 process (no filter)" in refused.err
    assert "say --yes to hold 1 process" in refused.err
    assert statuses(shop) == {"r-1": "running"}


@pytest.mark.parametrize(("answer", "status", "after"), [("y\n", 0, "held"), ("\n", 1, "running"), ("", 1, "running")])
def test_somebody_at_a_terminal_is_asked(shop, monkeypatch, answer, status, after):
    """A yes is needed; anything else, the end of the input included, does nothing."""
    shop.start()
    stdin = io.StringIO(answer)
    stdin.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    asked = shop.run("process", "hold", "--all", *WHY)
    assert asked.status == status
    assert "hold them? [y/N]" in asked.err
    assert statuses(shop) == {"r-1": after}


def test_a_terminal_shows_a_bar(shop, monkeypatch):
    """On a terminal progress is a bar that goes away; standard output holds only what it came to."""
    for n in range(3):
        shop.start(f"r-{n}")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    held = shop.run("process", "hold", "--all", "--yes", *WHY)
    assert "3/3" in held.err
    assert held.out == "3 held, 0 skipped, 0 failed, of 3\n"


def test_elsewhere_lines_tell_how_far_it_is(shop, monkeypatch):
    """Without a terminal there is a line now and then, and no cursor is moved."""
    monkeypatch.setattr(bulk, "LINE_EVERY", 0.0)
    for n in range(2):
        shop.start(f"r-{n}")
    held = shop.run("process", "hold", "--all", "--yes", *WHY)
    assert "1 of 2: 1 held, 0 skipped, 0 failed" in held.err
    assert "\x1b" not in held.err


@pytest.mark.parametrize(
    ("options", "held"),
    [
        (["--type", "redeem"], {"r-1", "r-2"}),
        (["--type", "other"], set()),
        (["--state", "later"], {"m-1"}),
        (["--status", "running"], {"r-1", "r-2", "m-1"}),
        (["--lane", "prizes"], {"r-1", "r-2"}),
        (["--since", "1h"], {"r-1", "r-2", "m-1"}),
        (["--until", "1h"], set()),
        (["--until", "2100-01-01", "--type", "redeem"], {"r-1", "r-2"}),
        (["--limit", "1"], {"m-1"}),
    ],
)
def test_options_narrow_it(shop, options, held):
    """Type, state, status, lane and time of creation; a limit takes the newest."""
    for key in ("r-1", "r-2"):
        shop.start(key)
    shop.inside(lambda app, module: app.start(module.Reminder(request_id="m-1")))
    assert shop.run("process", "hold", "--all", "--yes", *options, *WHY).status == 0
    assert {key for key, status in statuses(shop).items() if status == "held"} == held


def test_what_was_held_for_a_reason_resumes(shop):
    """The note tells why a process is held: those of a conflict stay held."""
    shop.start("r-1")
    shop.conflict("r-2")
    shop.run("process", "hold", "--all", "--yes", *WHY)
    resumed = shop.run("process", "resume", "--all", "--yes", "--note", "operator: the supplier", *WHY)
    assert resumed.out == "1 resumed, 0 skipped, 0 failed, of 1\n"
    assert statuses(shop) == {"r-1": "running", "r-2": "held"}


def test_pages_follow_each_other(shop):
    """A limited one says how to go on behind the last process; together they are all."""
    ids = [shop.start(f"r-{n}") for n in range(3)]
    first = shop.run("process", "retry", "--all", "--yes", "--limit", "2", *WHY)
    assert "the newest 2 have their turn" in first.err
    assert f"--after {ids[1]}" in first.err
    rest = shop.run("process", "retry", "--all", "--yes", "--after", ids[1], *WHY)
    assert rest.out == "1 retried, 0 skipped, 0 failed, of 1\n"


def test_json_is_one_document(shop):
    """Filter, counts and failures, and nothing else on standard output."""
    ids = [shop.start(f"r-{n}") for n in range(2)]
    held = shop.run("process", "hold", "--all", "--yes", "--type", "redeem", "--json", *WHY)
    assert held.document == {
        "command": "hold",
        "filter": {"type": "redeem"},
        "matched": 2,
        "done": 2,
        "skipped": 0,
        "failed": 0,
        "answers": {},
        "latest": ids[0],
        "stopped": None,
        "failures": [],
    }


def test_failures_are_told(shop):
    """What fails does not stop the others; each failure is listed with its code, and the status is 1."""
    newer, fine = shop.start("r-1"), shop.start("r-2")
    shop.run("process", "hold", "--all", "--yes", *WHY)
    with sqlite3.connect(shop.file) as database:
        database.execute("UPDATE tieout_process SET version = 9 WHERE id = ?", (bytes.fromhex(newer),))
    database.close()
    resumed = shop.run("process", "resume", "--all", "--yes", *WHY)
    assert resumed.status == 1
    assert resumed.out.startswith("1 resumed, 0 skipped, 1 failed, of 2\n")
    assert (newer in resumed.out, fine in resumed.out, "newer-version" in resumed.out) == (True, False, True)
    assert "Traceback" not in resumed.err


def test_nothing_matches(shop):
    """There is nothing to ask: done."""
    nothing = shop.run("process", "hold", "--all", *WHY)
    assert (nothing.status, nothing.out) == (0, "0 held, 0 skipped, 0 failed, of 0\n")


def test_rows_need_no_code(shop, monkeypatch):
    """With only the database's URL many are retried and held; where code runs, the App has to be named."""
    shop.start()
    monkeypatch.delenv("TIEOUT_APP")
    monkeypatch.setenv("TIEOUT_DB", shop.url)
    assert [shop.run("process", name, "--all", "--yes", *WHY).status for name in ("retry", "hold")] == [0, 0]
    for name in ("resume", "query", "cancel"):
        refused = shop.run("process", name, "--all", "--yes", *WHY)
        assert (refused.status, "name the App" in refused.err) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ["--all", "0" * 32],
        ["--all", "--type", "redeem", "--key", "r-1"],
        ["--all", "--owner", "alice"],
        ["--state", "issue"],
        ["0" * 32, "--yes"],
        ["0" * 32, "--limit", "3"],
        ["--all", "--limit", "0"],
        ["--all", "--since", "soon"],
        ["--all", "--status", "asleep"],
    ],
)
def test_one_and_many_do_not_mix(shop, options):
    """A process that is named, and options that only mean something for many, are refused before anything is done."""
    shop.start()
    refused = shop.run("process", "hold", *options, *WHY)
    assert (refused.status, refused.out) == (2, "")
    assert statuses(shop) == {"r-1": "running"}


@contextmanager
def at_terminal(shop, *args, columns=80):
    """A program at a terminal of its own, so wide; the terminal's other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([TIEOUT, *args], stdin=theirs, stdout=theirs, stderr=theirs, cwd=shop.folder)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(end, mark=""):
    """What the program at the other end has said, up to `mark` or its end."""
    said = ""
    while not mark or mark not in said:
        try:
            said += os.read(end, 65_536).decode()
        except OSError:
            break
    return said


def test_ctrl_c_ends_a_question(shop):
    """Once is enough, and nothing is done."""
    shop.start()
    with at_terminal(shop, "process", "hold", "--all", *WHY) as (process, end):
        read_until(end, "[y/N]")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in read_until(end)
    assert statuses(shop) == {"r-1": "running"}


def test_a_narrow_terminal_is_told_the_same(shop):
    """Where columns would be a few characters wide each row is a list below its identifier, which is whole."""
    process_id = shop.start()
    with at_terminal(shop, "process", "list", columns=70) as (process, end):
        said = read_until(end).splitlines()
        assert (process.wait(60), said[0]) == (0, process_id)
    told = dict(line.split()[:2] for line in said[1:5])
    assert told == {"TYPE": "redeem", "KEY": "r-1", "OWNER": "alice", "STATE": "issue"}


def asking(shop):
    """A program that queries three processes whose downstream hangs at the first."""
    for n in range(3):
        shop.start(f"r-{n}")
    shop.feels(query="hang")
    process = shop.spawn("process", "query", "--all", "--yes", "--json", *WHY)
    shop.wait_for((shop.folder / "called").exists, "the first query")
    process.send_signal(signal.SIGINT)
    while "Ctrl-C again" not in process.stderr.readline():
        assert process.poll() is None
    return process


def test_ctrl_c_stops_it_between_two(shop):
    """The process that is at its turn comes to its end; what was done is told, the rest is untouched."""
    process = asking(shop)
    shop.feels()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert '"done":1' in out
    assert '"stopped":"asked"' in out
    assert sorted(statuses(shop).values()) == ["final", "running", "running"]


def test_ctrl_c_again_stops_it_at_once(shop):
    """Whatever hangs is left; what was done is told all the same."""
    process = asking(shop)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert '"done":0' in out
    assert '"stopped":"cancelled"' in out
    assert set(statuses(shop).values()) == {"running"}
