"""A person decides; where evidence says otherwise, a second one has to agree."""

from __future__ import annotations

import shlex

import pytest

import tieout

VALUE = '{"code":"A1","sku":"mug"}'


def settle(shop, process: str, actor: str, *more: str, choice: str = "succeeded"):
    command = ["process", "settle", process, "--call", "1", "--as", choice, "--reason", "ticket 7", "--actor", actor]
    return shop.run(*command, *more)


def test_a_second_person_has_to_agree(shop):
    """The first one's wish changes nothing and says what to run; the same again is not enough; a second one's is."""
    process = shop.conflict()
    for _ in range(2):
        first = settle(shop, process, "alice", "--value", VALUE)
        assert (first.status, first.out) == (1, "")
        assert "approval-needed" in first.err
        assert shop.run("process", "show", process, "--json").document["status"] == "held"
    said = shlex.split(first.err.splitlines()[-1])
    assert said[0] == "tieout"
    second = said[1 : said.index("--actor")]
    assert shop.run(*second, "--actor", "bob", "--reason", "seen in the depot").status == 0
    document = shop.run("process", "show", process, "--json").document
    assert (document["status"], document["calls"][0]["final"]["value"]) == ("running", {"code": "A1", "sku": "mug"})
    assert [(act["actor"], act["action"]) for act in document["audit"]] == [
        ("alice", "settle-wish"),
        ("alice", "settle-wish"),
        ("bob", "settle"),
    ]
    (alarm,) = document["alarms"]
    assert (alarm["state"], alarm["resolved_by"]) == ("resolved", "bob")


def test_another_wish_is_no_agreement(shop):
    """A second person who wants something else has made a first wish of their own."""
    process = shop.conflict()
    assert settle(shop, process, "alice", "--value", VALUE).status == 1
    assert settle(shop, process, "bob", "--value", '{"code":"A2","sku":"mug"}').status == 1
    assert settle(shop, process, "bob", choice="failed").status == 1
    assert settle(shop, process, "alice", choice="failed").status == 0


def test_the_first_answer_is_json_too(shop):
    """With --json, what the second person has to run is an array of arguments."""
    process = shop.conflict()
    first = settle(shop, process, "alice", "--value", VALUE, "--json")
    assert (first.status, first.err, first.document["error"]["code"]) == (1, "", "approval-needed")
    second = first.document["second_person_runs"]
    agreed = shop.run(*second[1:], "--actor", "bob", "--reason", "yes", "--json")
    assert (agreed.status, agreed.document["status"]) == (0, "running")


def test_one_person_settles_what_nothing_contradicts(shop):
    """Without a claim that says otherwise, one person is enough."""
    process = shop.start()
    assert shop.run("process", "hold", process, "--reason", "wait").status == 0
    assert settle(shop, process, "alice", "--code", "never-sent", choice="failed").status == 0
    final = shop.run("process", "show", process, "--json").document["calls"][0]["final"]
    assert (final["kind"], final["code"], final["source"]) == ("failed", "never-sent", "operator")


def test_a_final_state_never_changes(shop):
    """Settling a conflict about a final process is recorded and resolves the alarm; the process stays as it is."""
    process = shop.start()
    assert shop.report(process, lambda module: tieout.Succeeded(module.Prize("A1", "mug"))) == "advanced"
    assert shop.report(process, lambda _: tieout.Failed("sold-out")) == "conflict"
    before = shop.run("process", "show", process, "--json").document
    assert settle(shop, process, "alice", choice="failed").status == 1
    assert settle(shop, process, "bob", choice="failed").status == 0
    after = shop.run("process", "show", process, "--json").document
    assert [after[name] for name in ("state", "status", "result", "calls")] == [
        before[name] for name in ("state", "status", "result", "calls")
    ]
    assert after["alarms"][0]["resolution"] == "followed-other"


@pytest.mark.parametrize(
    ("choice", "more", "status", "code"),
    [
        ("succeeded", ["--value", "{"], 3, "invalid-json"),
        ("succeeded", ["--value", '{"code":NaN,"sku":"mug"}'], 3, "invalid-json"),
        ("succeeded", ["--value", '{"code":"A1","code":"A2","sku":"mug"}'], 3, "invalid-json"),
        ("succeeded", ["--value", '{"code":1,"sku":"mug"}'], 3, "invalid-params"),
        ("succeeded", ["--value", '{"code":"A1"}'], 3, "invalid-params"),
        ("succeeded", [], 3, "invalid-params"),
        ("succeeded", ["--code", "x"], 2, "config"),
        ("failed", ["--value", "1"], 2, "config"),
        ("neither", [], 2, "usage"),
    ],
)
def test_a_wrong_answer_is_refused(shop, choice, more, status, code):
    """What is no strict JSON, does not fit the type or contradicts itself changes nothing."""
    process = shop.conflict()
    refused = settle(shop, process, "alice", *more, choice=choice)
    assert (refused.status, refused.out) == (status, "")
    assert f"[{code}]" in refused.err
    document = shop.run("process", "show", process, "--json").document
    assert (document["status"], document["audit"]) == ("held", [])


def test_there_is_no_such_call(shop):
    """A call that the process does not have is refused, and so is one of a process that runs."""
    held, running = shop.conflict("r-1"), shop.start("r-2")
    command = ["--as", "failed", "--reason", "why"]
    assert "[not-allowed]" in shop.run("process", "settle", held, "--call", "2", *command).err
    assert "[not-allowed]" in shop.run("process", "settle", running, "--call", "1", *command).err
