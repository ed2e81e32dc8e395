"""Commands over HTTP: single and in bulk, each with a reason, each in the audit with who gave it."""

from __future__ import annotations

from itertools import count

import pytest

from tests.server.callbacks import body_for, report, signed
from tests.server.node import KEY, stored, wait_for

numbers = count(1)


def command(caller, process, name, **body):
    return caller.post(f"/v1/processes/{process}/{name}", json={"reason": "because", **body})


def test_hold_and_resume(place):
    """A held process says so, and goes on when it is resumed; both are in the audit under the token's name."""
    process = place.started("pending")["id"]
    assert command(place.operator, process, "hold").json()["status"] == "held"
    assert command(place.operator, process, "hold").status_code == 409
    assert command(place.operator, process, "resume").json()["status"] == "running"
    acts = place.admin.get("/v1/audit", params={"object": process}).json()["items"]
    assert [act["action"] for act in acts] == ["resume", "hold"]
    assert all(act["actor"].startswith("token:the-operator/") and act["reason"] == "because" for act in acts)


def test_retry_makes_it_due(place):
    """A retried process is due now."""
    process = place.started("pending")["id"]
    before = stored(place.url, process).due
    assert command(place.operator, process, "retry").status_code == 200
    assert stored(place.url, process).due != before


def test_query_tells_what_the_downstream_says(place):
    """The answer of the query, and the process after it."""
    process = place.started("pending")["id"]
    told = command(place.operator, process, "query").json()
    assert (told["answer"], told["process"]["state"]) == ("pending", "issue")


def test_cancel_stores_the_wish(place):
    """A type with a cancel step is cancelled; another one is refused."""
    headers = {"Idempotency-Key": f"cancel-{next(numbers)}"}
    reminder = place.client.post("/v1/types/reminder/processes", json={}, headers=headers).json()["id"]
    assert command(place.operator, reminder, "cancel").json()["wish"]["reason"] == "because"
    wait_for(lambda: stored(place.url, reminder).state == "dropped", "the cancellation")
    assert command(place.operator, place.started("pending")["id"], "cancel").status_code == 409


def test_settling_against_evidence_takes_two(place):
    """202 for the first person, and nothing has changed; 200 for a second one; the same person again stays at 202."""
    process = place.started("pending")["id"]

    body = body_for(f"{process}:1", value={"code": "A9", "sku": "umbrella"})
    assert report(place.nobody, f"{process}:1", body, signed(KEY, body)).json()["effect"] == "conflict"
    wish = {"call": 1, "as": "failed", "code": "lost"}
    for _ in range(2):
        answer = command(place.approver, process, "settle", **wish)
        assert (answer.status_code, answer.json()["code"]) == (202, "approval-needed")
        assert stored(place.url, process).status == "held"
    assert command(place.second, process, "settle", **wish).status_code == 200
    wait_for(lambda: stored(place.url, process).state == "refunded", "the settled process")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": 7}, {"reason": "x", "actor": "me"}])
def test_a_command_without_a_reason_is_refused(place, body):
    """400 without a reason, and for a body that says who somebody is."""
    process = place.started("pending")["id"]
    assert place.operator.post(f"/v1/processes/{process}/hold", json=body).status_code == 400
    assert stored(place.url, process).status == "running"


def test_a_bulk_command_is_counted_watched_and_audited(place):
    """The count says how many it is for; it goes on by itself, ends with the same number, and signs as a whole."""
    mark = f"bulk-{next(numbers)}"
    several = {place.started("pending", user=mark)["id"] for _ in range(5)}
    wanted = {"type": "redeem", "lane": "prizes", "client": "the-client", "state": "issue"}
    counted = place.operator.post("/v1/bulk/count", json={"command": "hold", "filter": wanted}).json()["matched"]
    assert counted >= 5
    begun = place.operator.post("/v1/bulk", json={"command": "hold", "filter": wanted, "reason": mark})
    assert begun.status_code == 202
    where = begun.headers["location"]
    job = wait_for(lambda: (one := place.operator.get(where).json())["state"] == "ended" and one, "the bulk command")
    assert (job["tally"]["matched"], job["tally"]["done"], job["tally"]["failed"]) == (counted, counted, 0)
    assert {stored(place.url, one).status for one in several} == {"held"}
    whole = place.admin.get("/v1/audit", params={"action": "bulk-hold"}).json()["items"][0]
    assert (whole["reason"], whole["detail"]["done"]) == (mark, counted)
    assert job["id"] in {one["id"] for one in place.operator.get("/v1/bulk").json()["items"]}


def test_a_bulk_command_is_aborted(place):
    """Aborted, it ends before its next process and says that it was asked to; once ended it cannot be aborted."""
    many = [place.start("pending", user="abort").json()["id"] for _ in range(60)]  # it is not through them so soon
    begun = place.operator.post("/v1/bulk", json={"command": "query", "filter": {}, "reason": "all"}).json()
    where = f"/v1/bulk/{begun['id']}"
    assert place.operator.post(f"{where}/abort", json={"reason": "a mistake"}).status_code < 300
    job = wait_for(lambda: (one := place.operator.get(where).json())["state"] == "ended" and one, "its end")
    assert job["tally"]["stopped"] in ("asked", None)
    assert place.operator.post(f"{where}/abort", json={"reason": "again"}).status_code == 409
    (act,) = place.admin.get("/v1/audit", params={"action": "bulk-abort"}).json()["items"]
    assert (act["object"], act["reason"], act["detail"]["job"]) == ("bulk", "a mistake", begun["id"])
    assert all(stored(place.url, one).status == "running" for one in many)
