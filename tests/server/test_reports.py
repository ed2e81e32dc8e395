"""Signed callbacks: each rightly signed one is judged, once; nothing else gets through."""

from __future__ import annotations

import pytest

from tests.server.callbacks import body_for, report, signed
from tests.server.node import BANK_KEY, KEY, OLD_KEY, stored
from tests.server.profiles import PROFILES
from tests.server.reporting import attack
from tests.server.request_forging import signed_request


@pytest.fixture
def call(place) -> str:
    """The key of a call that waits for its answer."""
    return f"{place.started('pending')['id']}:1"


def state(place, call: str) -> str:
    return stored(place.url, call.partition(":")[0]).state


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_a_signed_report_moves_the_process(place, call, key):
    """With either of the sender's keys: 200, the process has advanced, and its trail says that it was a push."""
    body = body_for(call)
    answer = report(place.nobody, call, body, signed(key, body))
    assert (answer.status_code, answer.json()) == (200, {"effect": "advanced", "replayed": False})
    record = stored(place.url, call.partition(":")[0])
    assert (record.state, record.trail[-1].source, record.trail[-1].by) == ("completed", "push", "message")


@pytest.mark.parametrize(
    ("outcome", "more", "effect", "then"),
    [
        ("failed", {"code": "sold-out"}, "advanced", "refunded"),
        ("pending", {"after": 60}, "waiting", "issue"),
        ("unknown", {"reason": "nobody knows"}, "waiting", "issue"),
    ],
)
def test_every_outcome_can_be_reported(place, call, outcome, more, effect, then):
    """A failure moves it too; pending and unknown leave it where it is."""
    body = body_for(call, outcome, **more)
    assert report(place.nobody, call, body, signed(KEY, body)).json()["effect"] == effect
    assert state(place, call) == then


def test_a_replayed_report_does_nothing(place, call):
    """The same message again is answered as before and marked; another message of the same final is a duplicate."""
    body = body_for(call)
    headers = signed(KEY, body)
    report(place.nobody, call, body, headers)
    before = stored(place.url, call.partition(":")[0])
    again = report(place.nobody, call, body, headers)
    assert (again.status_code, again.json()) == (200, {"effect": "duplicate", "replayed": True})
    after = stored(place.url, call.partition(":")[0])
    assert (after.fence, after.duplicates) == (before.fence, before.duplicates)
    assert report(place.nobody, call, body, signed(KEY, body)).json() == {"effect": "duplicate", "replayed": False}


def test_a_contradiction_raises_one_alarm(place, call):
    """Failed after succeeded: 200 with "conflict", the final stays, and one alarm has both claims."""
    for outcome in ("succeeded", "failed", "failed"):
        body = body_for(call, outcome)
        answer = report(place.nobody, call, body, signed(KEY, body))
        assert answer.status_code == 200
    assert answer.json()["effect"] == "conflict"
    assert state(place, call) == "completed"
    alarms = place.viewer.get("/v1/alarms", params={"kind": "conflict", "limit": 500}).json()["items"]
    assert [alarm["object"] for alarm in alarms].count(call) == 1


def test_a_report_for_no_call_is_to_be_sent_again(place):
    """404 with Retry-After when there is no such call yet."""
    for call in ("0" * 32 + ":1", f"{place.started('pending')['id']}:7"):
        body = body_for(call)
        answer = report(place.nobody, call, body, signed(KEY, body))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-call")
        assert int(answer.headers["retry-after"]) > 0


def test_only_the_sender_of_a_lane_reports_on_it(place, call):
    """403 for a rightly signed report of another lane's sender; the process has not moved."""
    body = body_for(call)
    assert report(place.nobody, call, body, signed(BANK_KEY, body)).status_code == 403
    assert state(place, call) == "issue"


def test_the_body_names_its_call(place, call):
    """A message that was signed for one call does not count for another, though its signature is right."""
    other = f"{place.started('pending')['id']}:1"
    body = body_for(other)
    assert report(place.nobody, call, body, signed(KEY, body)).status_code == 400
    assert state(place, call) == state(place, other) == "issue"


def test_a_token_is_no_signature(place, call):
    """An administrator's token does not let an unsigned report in."""
    body = body_for(call)
    answer = report(place.admin, call, body, {"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


@pytest.mark.parametrize(
    "change",
    [{"outcome": "SUCCESS"}, {"outcome": 1}, {"value": {"code": 7}}, {"colour": "red"}, {"after": -1}],
)
def test_a_report_that_makes_no_sense_is_refused(place, call, change):
    """422 for outcomes and values that are none; a status that nobody knows is never taken for success."""
    body = body_for(call, **({"outcome": "succeeded"} | change))
    assert report(place.nobody, call, body, signed(KEY, body)).status_code == 422
    assert state(place, call) == "issue"


@pytest.mark.parametrize("profile", PROFILES, ids=[one.name for one in PROFILES])
def test_nothing_forged_is_accepted(place, profile):
    """Every valid original gets through, and of thousands of forgeries, of every class, none does, nor breaks it."""
    tried = attack(place.node, place.started, place.url, profile=profile, forgeries=3_000)
    assert tried.accepted == 0, tried.leaks
    assert (tried.originals_refused, tried.broken) == (0, [])
    assert set(tried.counts) == set(profile.classes)
    assert min(tried.counts.values()) > 0


def test_a_signed_request_moves_the_process(place, call):
    """Signed as RFC 9421 describes it, with the address: 200; its nonce tells a repetition."""
    body = body_for(call)
    headers = signed_request(f"/v1/report/{call}", body, nonce="n-1")
    assert report(place.nobody, call, body, headers).json() == {"effect": "advanced", "replayed": False}
    again = signed_request(f"/v1/report/{call}", body, nonce="n-1", age=1)
    assert report(place.nobody, call, body, again).json() == {"effect": "duplicate", "replayed": True}
    assert state(place, call) == "completed"


def test_a_query_is_signed(place, call):
    """A signed request whose address has a query that its signature does not cover is refused."""
    body = body_for(call)
    headers = signed_request(f"/v1/report/{call}", body, nonce="n-2")
    assert report(place.nobody, f"{call}?then=more", body, headers).status_code == 401
    assert state(place, call) == "issue"
