"""Reading processes over HTTP: one, its trail, pages of them; and only what is the caller's to see."""

from __future__ import annotations

import pytest

from tests.server.node import stored, wait_for


def test_a_process_is_shown_with_its_trail(place):
    """Who advanced it stands in the trail; times are ISO 8601."""
    process = place.started()
    trail = place.client.get(f"/v1/processes/{process['id']}/trail").json()
    assert [(move["to"], move["source"], move["by"]) for move in trail["trail"]] == [("completed", "immediate", "call")]
    assert trail["trail"][0]["at"].endswith("Z")


def test_pages_hold_every_process_once(place):
    """Following `next` to its end gives each matching process once, the newest first."""
    started = [place.started(user="pages")["id"] for _ in range(7)]
    seen, cursor = [], ""
    while True:
        page = place.client.get("/v1/processes", params={"limit": 3, "cursor": cursor, "type": "redeem"}).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert [one for one in seen if one in started] == started[::-1]
    assert len(set(seen)) == len(seen)


def test_filters_narrow_a_listing(place):
    """Type, state, status, lane and client each leave only what matches."""
    held = place.started("pending", user="filters")
    for filters in ({"state": "issue"}, {"status": "running"}, {"lane": "prizes"}, {"client": "the-client"}):
        found = place.operator.get("/v1/processes", params={"limit": 500, **filters}).json()["items"]
        assert held["id"] in {one["id"] for one in found}
        name, value = next(iter(filters.items()))
        assert {one[name] for one in found} == {value}


def test_a_client_lists_its_own_only(place):
    """Whatever client it asks for, a client is shown its own processes; a viewer sees all."""
    mine, theirs = place.started()["id"], place.started(by="stranger")["id"]
    asked = place.client.get("/v1/processes", params={"limit": 500, "client": "stranger"}).json()["items"]
    assert {one["client"] for one in asked} == {"the-client"}
    seen = {one["id"] for one in place.viewer.get("/v1/processes", params={"limit": 500}).json()["items"]}
    assert {mine, theirs} <= seen


@pytest.mark.parametrize("id", ["0" * 32, "nonsense", "0" * 31, "zz" * 16])
def test_what_is_not_there_is_not_found(place, id):
    """404 with a code for an id that no process has; 400 or 404 for what cannot be one."""
    answer = place.viewer.get(f"/v1/processes/{id}")
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] in ("unknown-process", "invalid-request")


@pytest.mark.parametrize("cursor", ["x", "!!!!", "AAAA", "_" * 32, "A" * 31, "A" * 33])
def test_a_cursor_that_is_none_is_refused(place, cursor):
    """400 for a cursor that no page gave."""
    assert place.viewer.get("/v1/processes", params={"cursor": cursor}).status_code == 400


def test_waiting_for_a_process_that_is_there(place):
    """`Prefer: wait` on a GET answers once the process has come to rest, by whichever request."""
    process = place.start("second").json()
    assert process["status"] == "running"
    told = place.client.get(f"/v1/processes/{process['id']}", headers={"Prefer": "wait=20"}).json()
    assert told["state"] == "completed"


def test_an_inspection_shows_what_persons_did(place):
    """Operators see a process with its alarms, evidence, acts and early reports."""
    process = place.started("pending")
    hold = place.operator.post(f"/v1/processes/{process['id']}/hold", json={"reason": "look at it"})
    assert hold.json()["status"] == "held"
    told = place.viewer.get(f"/v1/processes/{process['id']}/inspection").json()
    assert [(act["action"], act["reason"]) for act in told["audit"]] == [("hold", "look at it")]
    assert told["alarms"] == told["early_reports"] == []


def test_what_an_error_said_is_not_for_viewers(place):
    """A process's note says to viewers that its call is unknown, and not what was raised; operators read all of it."""
    body = {"amount": "1", "currency": "EUR", "card": {"number": "4111"}, "mood": "raise"}
    headers = {"Idempotency-Key": "noted-1"}
    process = place.client.post("/v1/types/payment/processes", json=body, headers=headers).json()["id"]
    place.operator.post(f"/v1/processes/{process}/retry", json={"reason": "so that the sweep takes it over"})
    wait_for(lambda: stored(place.url, process).note, "the note")
    assert place.viewer.get(f"/v1/processes/{process}").json()["note"] == "unknown"
    assert "4111" in place.operator.get(f"/v1/processes/{process}").json()["note"]


def test_secret_fields_are_masked_for_viewers(place):
    """A viewer sees that a field is there and not what it holds; its client and operators see it."""
    body = {"amount": "9.99", "currency": "EUR", "card": {"number": "4111", "holder": "ann"}, "password": "hunter2"}
    answer = place.client.post("/v1/types/payment/processes", json=body, headers={"Idempotency-Key": "masked-1"})
    process = answer.json()["id"]
    for caller, seen in ((place.viewer, "[masked]"), (place.operator, "hunter2"), (place.client, "hunter2")):
        told = caller.get(f"/v1/processes/{process}").json()
        assert told["params"]["password"] == seen
        assert told["calls"][0]["args"]["password"] == seen
    assert stored(place.url, process).params.count("hunter2") == 1
