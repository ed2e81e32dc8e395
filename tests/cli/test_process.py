"""`tieout process`: what an operator sees, and what commands do."""

from __future__ import annotations

import getpass
import sqlite3
from typing import get_args

import pytest

import tieout
from tieout.cli.timeline import BROUGHT_BY, MARKS
from tieout.process.record import By, Source


def test_lists_newest_first(shop):
    """One line for each process, the newest first, its id never cut; as JSON one document a line."""
    first, second = shop.start("r-1"), shop.start("r-2")
    table = shop.run("process", "list").out.splitlines()
    assert [line.split()[0] for line in table] == ["ID", second, first]
    listed = shop.run("process", "list", "--json").documents
    assert [(one["id"], one["key"], one["state"], one["status"]) for one in listed] == [
        (second, "r-2", "issue", "running"),
        (first, "r-1", "issue", "running"),
    ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--type", "redeem"], 2),
        (["--type", "other"], 0),
        (["--state", "issue"], 2),
        (["--state", "completed"], 0),
        (["--status", "held"], 1),
        (["--status", "running"], 1),
        (["--status", "held", "--type", "other"], 0),
        (["--since", "1h"], 2),
        (["--since", "2000-01-01"], 2),
        (["--since", "2100-01-01T00:00:00+08:00"], 0),
        (["--limit", "1"], 1),
    ],
)
def test_filters_narrow_the_list(shop, filters, found):
    """Type, state, status and time of creation each narrow the list, and all together."""
    shop.start("r-1")
    shop.conflict("r-2")
    assert len(shop.run("process", "list", "--json", *filters).documents) == found


def test_a_payload_that_cannot_be_read_hides_no_process(shop):
    """Of a process whose codec is not given the list shows the rest, marked, and goes on behind it; `show` fails."""
    readable, hidden = shop.start("r-1"), shop.start("r-2")
    with sqlite3.connect(shop.file) as database:
        database.execute("UPDATE tieout_process SET params = '~aGlkZGVu' WHERE id = ?", (bytes.fromhex(hidden),))
    listed = shop.run("process", "list")
    lines = {line.split()[0]: line for line in listed.out.splitlines()}
    assert listed.status == 0
    assert ["[payload-unreadable]" in lines[process] for process in (hidden, readable)] == [True, False]
    assert "[payload-unreadable]" in listed.err
    told = {one["id"]: one for one in shop.run("process", "list", "--json").documents}
    assert (told[hidden]["unreadable"], told[hidden]["params"], told[hidden]["key"]) == (["params"], {}, "r-2")
    assert "unreadable" not in told[readable]
    behind = shop.run("process", "list", "--after", hidden, "--json").documents
    assert [one["id"] for one in behind] == [readable]
    refused = shop.run("process", "show", hidden)
    assert (refused.status, "[payload-unreadable]" in refused.err) == (2, True)


def test_pages_follow_each_other(shop):
    """`--after` goes on behind a process: pages together are the whole list, and a full page says how to go on."""
    started = [shop.start(f"r-{n}") for n in range(5)]
    seen, after = [], []
    while page := shop.run("process", "list", "--limit", "2", "--json", *after).documents:
        seen += [one["id"] for one in page]
        after = ["--after", seen[-1]]
    assert seen == started[::-1]
    assert f"--after {started[-2]}" in shop.run("process", "list", "--limit", "2").err


def test_shows_one_by_id_and_by_key(shop):
    """A process is found by its id and by what its client sent; both show params, calls with keys, and times."""
    process = shop.start("r-1", "alice")
    by_id = shop.run("process", "show", process, "--json").document
    by_key = shop.run("process", "show", "--type", "redeem", "--owner", "alice", "--key", "r-1", "--json").document
    assert by_id | {"age": 0} == by_key | {"age": 0}
    assert by_id["params"] == {"request_id": "r-1", "user": "alice", "sku": "mug"}
    assert [(call["n"], call["key"], call["args"]) for call in by_id["calls"]] == [(1, f"{process}:1", {"sku": "mug"})]
    assert by_id["created"].endswith("Z")
    assert by_id["age"] >= 0


def test_the_timeline_says_who_advanced_it(shop):
    """Each move has the mark of the way that brought it, beside what persons did and with what reason."""
    process = shop.start()
    shop.run("process", "retry", process, "--reason", "the customer waits", "--actor", "bob")
    shop.report(process, lambda module: tieout.Succeeded(module.Prize("A1", "mug")))
    page = shop.run("process", "show", process).out
    assert "completed (final): moved by push" in page
    lines = page[page.index("Timeline") :].splitlines()
    assert [line.split()[2:4] for line in lines[3:5]] == [["s", "★"], ["s", "■"]]
    assert "bob: the customer waits" in lines[3]
    assert "started -> issue" in lines[2]


def test_shows_reports_that_came_too_early(shop):
    """A report of a call that is not known yet is kept, and shown with the process that it names."""
    process = shop.start()
    with pytest.raises(tieout.UnknownCall):
        shop.inside(lambda app, _: app.report(f"{process}:2", tieout.Failed("no")))
    early = shop.run("process", "show", process, "--json").document["early_reports"]
    assert [report["call_key"] for report in early] == [f"{process}:2"]


def test_stored_text_cannot_move_the_cursor(shop):
    """Escape sequences and marks that turn writing round, in a key from a client, do not reach the terminal."""
    process = shop.start("a\x1b[31m\u202eb\r")
    for page in (shop.run("process", "list").out, shop.run("process", "show", process).out):
        assert not {"\x1b", "\u202e", "\r"} & set(page)
        assert "a\\x1b[31m\\u202eb\\r" in page


def test_retry_makes_it_due(shop):
    """A retried process is due at once, and the audit says who wanted that and why."""
    process = shop.start()
    before = shop.run("process", "show", process, "--json").document
    after = shop.run("process", "retry", process, "--reason", "now", "--json").document
    assert after["due"] < before["due"]
    (act,) = shop.run("process", "show", process, "--json").document["audit"]
    assert (act["actor"], act["action"], act["reason"]) == ("alice", "retry", "now")


def test_the_actor_is_the_login_name_at_last(shop, monkeypatch):
    """Without `--actor` and without the setting, the name of the login is kept."""
    process = shop.start()
    monkeypatch.delenv("TIEOUT_ACTOR")
    assert shop.run("process", "retry", process, "--reason", "now").status == 0
    (act,) = shop.run("process", "show", process, "--json").document["audit"]
    assert act["actor"] == getpass.getuser()


def test_rows_need_no_code(shop, monkeypatch):
    """With only the database's URL, processes are listed, shown, retried and held; code is asked for where it runs."""
    process = shop.start()
    monkeypatch.delenv("TIEOUT_APP")
    monkeypatch.setenv("TIEOUT_DB", shop.url)
    act = [process, "--reason", "why"]
    assert shop.run("process", "list", "--json").document["id"] == process
    assert shop.run("process", "retry", *act).status == 0
    assert shop.run("process", "hold", *act).status == 0
    assert shop.run("process", "show", process, "--json").document["status"] == "held"
    for command in ("resume", "query"):
        refused = shop.run("process", command, *act)
        assert (refused.status, refused.out) == (2, "")
        assert "name the App" in refused.err


def test_hold_and_resume(shop):
    """A held process is not due; resumed, it is due at once. Neither can be done twice."""
    process = shop.start()
    act = [process, "--reason", "why", "--json"]
    held = shop.run("process", "hold", *act).document
    assert (held["status"], held["due"]) == ("held", None)
    assert shop.run("process", "hold", *act).status == 3
    resumed = shop.run("process", "resume", *act).document
    assert (resumed["status"], resumed["lane"]) == ("running", "prizes")
    assert shop.run("process", "resume", *act).status == 3


def test_cancel_is_a_wish(shop):
    """A wish to cancel is kept with who and why, and a worker carries it out; a type without the step refuses."""
    process = shop.inside(lambda app, module: app.start(module.Reminder(request_id="r-9"))).id
    wished = shop.run("process", "cancel", process, "--reason", "paid by cash", "--json")
    assert (wished.status, wished.document["wish"]) == (0, {"actor": "alice", "reason": "paid by cash"})
    assert "paid by cash" in shop.run("process", "show", process).out
    refused = shop.run("process", "cancel", shop.start(), "--reason", "why")
    assert refused.status == 3
    assert "[not-allowed]" in refused.err


def test_every_way_has_its_words():
    """Whatever can move a process has a mark or words on the timeline."""
    assert set(MARKS) == set(get_args(Source))
    assert set(BROUGHT_BY) == set(get_args(By))


@pytest.mark.parametrize(
    ("mood", "status", "answer", "state"),
    [
        ("succeed", 0, "succeeded", "completed"),
        ("fail", 0, "failed", "refunded"),
        ("not-found", 1, "notfound", "issue"),
        ("lost", 1, "unknown", "issue"),
    ],
)
def test_query_asks_now(shop, mood, status, answer, state):
    """The downstream is asked at once: its final answer moves the process, any other is told with status 1."""
    process = shop.start()
    shop.feels(query=mood)
    asked = shop.run("process", "query", process, "--reason", "the customer waits", "--json")
    assert (asked.status, asked.document["answer"], asked.document["state"]) == (status, answer, state)
    sources = [move["source"] for move in asked.document["trail"]]
    assert sources == ([] if status else ["operator"])


def test_graph_draws_the_machine(shop, monkeypatch):
    """The machine of a type is drawn as text, Mermaid, Graphviz or JSON; the type may be left out if it is the only."""
    for named in (["redeem"], ["shop:alone", "redeem"], ["shop:alone"]):
        if named[0] == "shop:alone":
            monkeypatch.delenv("TIEOUT_APP", raising=False)
        assert "issue    succeeded  ->  completed (final)" in shop.run("process", "graph", *named).out
    assert "issue --> completed: succeeded" in shop.run("process", "graph", "shop:alone", "--format", "mermaid").out
    assert '"issue" -> "refunded" [label="failed"]' in shop.run("process", "graph", "shop:alone", "--format", "dot").out
    edges = shop.run("process", "graph", "shop:alone", "--json").document["edges"]
    assert {"state": "", "outcome": "start", "to": "issue"} in edges
    several = shop.run("process", "graph", "shop:app")
    assert several.status == 2
    assert "redeem, reminder" in several.err


def test_check_finds_what_this_code_cannot_carry_on(shop):
    """Every stored process is decoded by this code: 0 when all can go on, else 1 and each with its reason."""
    fine, strange = shop.start("r-1"), shop.start("r-2")
    assert shop.run("process", "check").status == 0
    with sqlite3.connect(shop.file) as database:
        database.execute(
            "UPDATE tieout_process SET state = 'gone', calls = replace(calls, 'issue', 'gone') WHERE id = ?",
            (bytes.fromhex(strange),),
        )
    database.close()
    checked = shop.run("process", "check", "--json")
    assert (checked.status, checked.document["process"]) == (1, strange)
    page = shop.run("process", "check")
    assert page.status == 1
    assert strange in page.out
    assert fine not in page.out


def test_output_that_nobody_reads_is_no_fault(shop):
    """When the reader of a pipe goes away, the command ends quietly."""
    for n in range(3):
        shop.start(f"r-{n}")
    process = shop.spawn("process", "list", "--json")
    process.stdout.close()
    assert (process.wait(30), process.stderr.read()) == (141, "")
    process.stderr.close()


def test_ctrl_c_ends_with_130(shop):
    """An interrupted command ends with the usual status and no traceback."""
    (shop.folder / "stop.py").write_text("def app():\n    raise KeyboardInterrupt\n")
    stopped = shop.run("process", "list", "--app", "stop:app")
    assert (stopped.status, stopped.out, stopped.err) == (130, "", "")
