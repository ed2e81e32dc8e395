"""Alarms and the audit over HTTP."""

from __future__ import annotations

import pytest

from tests.server.callbacks import body_for, report, signed
from tests.server.node import KEY


@pytest.fixture
def alarm(place) -> str:
    """The id of an open alarm, about a call that succeeded and failed."""
    call = f"{place.started('pending')['id']}:1"
    for outcome in ("succeeded", "failed"):
        body = body_for(call, outcome)
        assert report(place.nobody, call, body, signed(KEY, body)).status_code == 200
    alarms = place.viewer.get("/v1/alarms", params={"limit": 500}).json()["items"]
    return next(one["id"] for one in alarms if one["object"] == call)


def test_an_alarm_is_shown_with_both_claims(place, alarm):
    """The list has the alarm without, the page with its evidence: what was said first, and what contradicts it."""
    told = place.viewer.get(f"/v1/alarms/{alarm}").json()
    assert (told["kind"], told["severity"], told["state"]) == ("conflict", "critical", "open")
    assert {piece["body"]["kind"] for piece in told["evidence"]} == {"succeeded", "failed"}
    listed = place.viewer.get("/v1/alarms", params={"kind": "conflict", "limit": 500}).json()["items"]
    assert "evidence" not in next(one for one in listed if one["id"] == alarm)


def test_an_alarm_is_acknowledged_and_resolved(place, alarm):
    """Each once, with a reason, audited with who did it; a resolved one cannot be resolved again.

    It takes two to resolve a conflict: the answer to the first is 202.
    """
    seen = place.operator.post(f"/v1/alarms/{alarm}/acknowledge", json={"reason": "mine"})
    assert seen.json()["state"] == "acknowledged"
    resolution = {"as": "settled-outside", "reason": "refunded"}
    wished = place.operator.post(f"/v1/alarms/{alarm}/resolve", json=resolution)
    assert (wished.status_code, wished.json()["code"]) == (202, "approval-needed")
    done = place.second.post(f"/v1/alarms/{alarm}/resolve", json=resolution)
    assert (done.json()["state"], done.json()["resolution"]) == ("resolved", "settled-outside")
    again = place.operator.post(f"/v1/alarms/{alarm}/resolve", json={"as": "accepted", "reason": "refunded"})
    assert (again.status_code, again.json()["code"]) == (409, "not-allowed")
    acts = place.operator.get("/v1/audit", params={"object": alarm}).json()["items"]
    assert [act["action"] for act in acts] == ["alarm-resolve", "alarm-resolve-wish", "alarm-acknowledge"]


def test_a_resolution_is_one_of_the_known(place, alarm):
    """400 for a resolution that there is not, 404 for an alarm that there is not."""
    assert place.operator.post(f"/v1/alarms/{alarm}/resolve", json={"as": "fine", "reason": "x"}).status_code == 400
    missing = place.operator.post(f"/v1/alarms/{'0' * 32}/resolve", json={"as": "accepted", "reason": "x"})
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-alarm")


def test_the_audit_is_paged(place):
    """Following `next` shows every act once, the newest first."""
    for _ in range(5):
        process = place.started("pending")["id"]
        place.operator.post(f"/v1/processes/{process}/hold", json={"reason": "pages"})
    numbers, before = [], 10**18
    while before is not None:
        page = place.operator.get("/v1/audit", params={"limit": 2, "before": before, "action": "hold"}).json()
        numbers += [act["seq"] for act in page["items"]]
        before = page["next"]
    assert len(numbers) >= 5
    assert numbers == sorted(set(numbers), reverse=True)


def test_the_audit_is_checked_in_parts(place):
    """Each part is intact and ends with the anchor of the next one; all together are the whole chain."""
    for _ in range(3):
        process = place.started("pending")["id"]
        place.operator.post(f"/v1/processes/{process}/hold", json={"reason": "chained"})
    whole = place.operator.get("/v1/audit/verify", params={"limit": 100_000}).json()
    assert (whole["intact"], whole["complete"], whole["faults"]) == (True, True, [])
    newest = place.operator.get("/v1/audit", params={"limit": 1}).json()["items"][0]
    assert whole["end"] == f"{newest['number']}:{newest['digest']}"
    behind = place.operator.get("/v1/audit/verify", params={"since": whole["end"]}).json()
    assert (behind["intact"], behind["chained"], behind["end"]) == (True, 0, whole["end"])
    assert place.operator.get("/v1/audit/verify", params={"since": "nonsense"}).status_code == 400
    assert place.viewer.get("/v1/audit/verify").status_code == 403


def test_an_alarm_is_owned_and_snoozed(place, alarm):
    """By whoever asks unless somebody is named, for so many seconds; the history tells of both."""
    owned = place.operator.post(f"/v1/alarms/{alarm}/own", json={"reason": "mine"}).json()
    assert owned["state"] == "acknowledged"
    assert owned["owner"] == place.operator.get("/v1/me").json()["name"]
    named = place.operator.post(f"/v1/alarms/{alarm}/own", json={"reason": "hers", "owner": "eve"}).json()
    assert named["owner"] == "eve"
    listed = place.viewer.get("/v1/alarms", params={"owner": "eve", "limit": 500}).json()["items"]
    assert alarm in [one["id"] for one in listed]
    snoozed = place.operator.post(f"/v1/alarms/{alarm}/snooze", json={"seconds": 3600, "reason": "later"}).json()
    assert snoozed["snoozed_until"] is not None
    assert [one["happening"] for one in snoozed["history"]][-3:] == ["owned", "owned", "snoozed"]
    too_long = place.operator.post(f"/v1/alarms/{alarm}/snooze", json={"seconds": 31 * 86_400, "reason": "x"})
    assert too_long.status_code == 400
    assert place.viewer.get("/v1/alarms", params={"parent": alarm}).json()["items"] == []
