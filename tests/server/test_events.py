"""Hints: each listener hears of what it may see, what is dropped is said, and a broken line goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.server.callbacks import body_for, report, signed
from tests.server.node import KEY
from tieout.errors import Overloaded
from tieout.server.hints import KEPT, Hub


@contextmanager
def listening(caller, **headers: str) -> Iterator[Iterator[dict]]:
    """The events that a caller hears, from when the line stands."""
    with caller.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")

        def events() -> Iterator[dict]:
            event: dict = {}
            for line in lines:
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif event:
                    yield event | {"data": json.loads(event.get("data", "{}"))}
                    event = {}

        yield events()


def until(events: Iterator[dict], id: str, state: str) -> dict:
    return next(one for one in events if one["data"].get("id") == id and one["data"].get("state") == state)


def test_a_move_is_hinted_at(place):
    """The start of a process and its final state, each as one hint with an id to go on from."""
    with listening(place.client) as events:
        process = place.started()["id"]
        first = until(events, process, "issue")
        last = until(events, process, "completed")
    assert first["data"]["topic"] == "process"
    assert last["id"].rpartition("-")[0] == first["id"].rpartition("-")[0]


def test_a_client_hears_of_its_own_only(place):
    """Of a stranger's processes, and of alarms, a client hears nothing; an operator hears of both."""
    with listening(place.client) as mine, listening(place.operator) as every:
        foreign = place.started("pending", by="stranger")["id"]
        for outcome in ("succeeded", "failed"):
            body = body_for(f"{foreign}:1", outcome)
            report(place.nobody, f"{foreign}:1", body, signed(KEY, body))
        assert until(every, foreign, "completed")
        assert next(one for one in every if one["data"].get("topic") == "alarm")
        own = place.started()["id"]
        heard = []
        for one in mine:
            heard.append(one["data"]["id"])
            if one["data"]["state"] == "completed":
                break
    assert set(heard) == {own}


def test_a_broken_line_goes_on_where_it_broke(place):
    """With the id of the last hint, what came since is heard first; with another node's id, that some are missing."""
    with listening(place.client) as events:
        seen = until(events, place.started()["id"], "completed")["id"]
    missed = place.started()["id"]
    with listening(place.client, **{"Last-Event-ID": seen}) as events:
        assert next(events)["data"]["id"] == missed
    with listening(place.client, **{"Last-Event-ID": "0000-7"}) as events:
        assert next(events)["event"] == "dropped"


async def test_what_does_not_fit_is_dropped_and_said():
    """A listener that does not keep up loses hints, is told how many, and holds no more than its room."""
    hub = Hub("n", most=1, room=3)
    slow = hub.listen("", frozenset({"process"}))
    for number in range(10):
        hub.tell("process", str(number), "issue")
    events = slow.events()
    await anext(events)
    hints, dropped = await anext(events), await anext(events)
    assert re.findall(rb'"id":"(\d+)"', hints) == [b"0", b"1", b"2"]
    assert dropped == b'event: dropped\ndata: {"dropped":7}\n\n'
    assert hub.dropped == 7
    with pytest.raises(Overloaded):
        hub.listen("", frozenset({"process"}))
    await events.aclose()
    assert len(hub) == 0


async def test_what_is_too_long_ago_is_said_to_be_missing():
    """A listener who was away for longer than hints are kept is told that some are missing."""
    hub = Hub("n", most=1, room=3)
    for number in range(KEPT + 2):
        hub.tell("process", str(number), "issue")
    assert hub.listen("", frozenset({"process"}), "n-1").dropped == 1
