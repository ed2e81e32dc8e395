"""`tieout message`: what came in and could not be taken in."""

from __future__ import annotations

from base64 import b64decode

from tieout import Delivery, InvalidParams
from tieout.errors import UnknownCall


def keep(shop, *messages):
    """Messages that failed: each with what its effect raised."""
    errors = {message.id: error for message, error in messages}

    async def fail(message, first):
        raise errors[message.id]

    async def work(app, _):
        if "broker/t" not in app.consuming.sources:
            app.consuming.declare("broker/t", fail)
        for message, _ in messages:
            await app.consuming.sources["broker/t"].take(message)

    shop.inside(work)


def listed(shop, *options):
    return [one["message_id"] for one in shop.run("message", "list", "--json", *options).documents]


DEAD = Delivery("m1", "t", "k", {"h": "v"}, b'{"a":1}'), InvalidParams("no price")
WAITING = Delivery("m2", "t", "", {}, b"\xff\x00"), UnknownCall("not there yet")


def test_lists_by_source_and_state(shop):
    """Messages are listed the latest first, narrowed by source and state, in pages that follow each other."""
    keep(shop, DEAD, WAITING)
    assert listed(shop) == ["m2", "m1"]
    assert listed(shop, "--state", "dead") == ["m1"]
    assert listed(shop, "--state", "waiting", "--from", "broker/t") == ["m2"]
    assert listed(shop, "--from", "broker/u") == []
    page = shop.run("message", "list", "--limit", "1")
    assert "[unknown-call]" not in page.out and "unknown-call" in page.out
    number = page.err.split("--before ")[1].strip()
    assert listed(shop, "--before", number) == ["m1"]


def test_shows_what_it_says_and_why(shop):
    """A message is shown whole: text as text, other bytes in base64, and the reason with its code."""
    keep(shop, DEAD, WAITING)
    second, first = (one["id"] for one in shop.run("message", "list", "--json").documents)
    shown = shop.run("message", "show", str(first)).out
    for words in ("from broker/t", "m1", "h: v", "[invalid-params] no price", "dead", '{"a":1}'):
        assert words in shown
    document = shop.run("message", "show", str(second), "--json").document
    assert (document["from"], document["encoding"], document["state"]) == ("broker/t", "base64", "waiting")
    assert b64decode(document["body"]) == b"\xff\x00"


def test_replays_and_drops_with_a_reason(shop):
    """What is replayed waits for its next try, what is dropped is gone, and the audit says who and why."""
    keep(shop, DEAD, WAITING)
    second, first = (str(one["id"]) for one in shop.run("message", "list", "--json").documents)
    assert shop.run("message", "drop", first).status == 2
    assert shop.run("message", "drop", first, "--reason", " ").status == 3
    (replayed,) = shop.run("message", "replay", first, "--reason", "mended", "--json").documents
    assert (replayed["state"], replayed["attempts"]) == ("waiting", 0)
    done = shop.run("message", "drop", first, second, "--reason", "a test", "--actor", "bob")
    assert done.out.splitlines() == [f"message {first} dropped", f"message {second} dropped"]
    assert listed(shop) == []
    acts = shop.run("audit", "list", "--json").documents
    assert [(act["action"], act["actor"], act["reason"]) for act in acts] == [
        ("message-drop", "bob", "a test"),
        ("message-drop", "bob", "a test"),
        ("message-replay", "alice", "mended"),
    ]


def test_what_is_not_there_is_said(shop):
    """An unknown number is told apart from what is no number."""
    for command in (["show", "7"], ["drop", "7", "--reason", "x"], ["replay", "7", "--reason", "x"]):
        refused = shop.run("message", *command)
        assert refused.status == 3
        assert "[unknown-message]" in refused.err
    assert shop.run("message", "show", "seven").status == 2
