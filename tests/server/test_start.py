"""Starting over HTTP: once for each key of each client, and what every other attempt is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.server.node import stored

numbers = count(1)


def key() -> str:
    return f"start-{next(numbers)}"


def test_a_new_process_is_created(place):
    """201, with the process and where it is found; `Prefer: wait` shows it final."""
    answer = place.start(Prefer="wait=10")
    told = answer.json()
    assert (answer.status_code, told["state"], told["client"]) == (201, "completed", "the-client")
    assert answer.headers["location"] == f"/v1/processes/{told['id']}"
    assert answer.headers["preference-applied"] == "wait=10"
    assert "idempotency-replayed" not in answer.headers
    assert place.client.get(answer.headers["location"]).json()["result"] == told["result"]


def test_the_same_request_again_gets_the_same_process(place):
    """200 when it is final, 202 while it is not; both marked as replayed, both with the first one's id."""
    for sku, status in (("mug", 200), ("pending", 202)):
        first = place.started(sku, key=(same := key()))
        again = place.start(sku, key=same)
        assert (again.status_code, again.json()["id"]) == (status, first["id"])
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"].endswith(first["id"])


def test_other_params_are_refused(place):
    """422 that names the param which changed; the process is as it was."""
    first = place.started(key=(same := key()))
    answer = place.start("umbrella", key=same)
    assert (answer.status_code, answer.json()["code"]) == (422, "params-changed")
    assert "sku" in answer.json()["detail"]
    assert stored(place.url, first["id"]).fence == 2


def test_one_client_neither_reads_nor_blocks_another(place):
    """The same key of two clients is two processes, and neither sees the other's."""
    mine = place.started(key=(same := key()))
    theirs = place.started("umbrella", key=same, by="stranger")
    assert mine["id"] != theirs["id"]
    assert (mine["client"], theirs["client"]) == ("the-client", "stranger")
    assert place.stranger.get(f"/v1/processes/{mine['id']}").status_code == 404


def test_a_hundred_at_once_are_one(place):
    """A hundred parallel requests with one key start one process; exactly one of them is told 201."""
    same = key()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: place.start(key=same), range(100)))
    assert sorted({answer.status_code for answer in answers} - {200, 202}) == [201]
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (None, "invalid-request"),
        ("", "invalid-key"),
        ('""', "invalid-key"),
        ("a, b", "invalid-key"),
        ('"open', "invalid-key"),
        ("x" * 300, "invalid-request"),
    ],
)
def test_a_key_that_is_none_is_refused(place, field, code):
    """400 without a key, and for what cannot be one; nothing is started."""
    headers = {} if field is None else {"Idempotency-Key": field}
    answer = place.client.post("/v1/types/redeem/processes", json={"user": "bob"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_two_keys_are_refused(place):
    """400 for a request that says two keys: nobody can tell which one is meant."""
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = place.client.post("/v1/types/redeem/processes", json={"user": "bob"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-key")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid-request"),
        (b"{", "invalid-json"),
        (b"[]", "invalid-request"),
        (b"{}", "invalid-request"),
        (b'{"user":"bob","user":"eve"}', "invalid-json"),
        (b'{"user":"bob","sku":NaN}', "invalid-json"),
        (b'{"user":7}', "invalid-request"),
        (b'{"user":"bob","colour":"red"}', "invalid-request"),
        (b'{"user":"bob","request_id":"mine"}', "invalid-request"),
        (b'{"user":""}', "invalid-key"),
        (b'{"user":"' + b"x" * 250 + b'"}', "invalid-key"),
        (b'{"user":"bob","sku":' + b"[" * 70 + b"]" * 70 + b"}", "invalid-json"),
        (b'{"user":"bob","sku":' + b"9" * 50 + b"}", "invalid-json"),
        (b'{"user":"bob","sku":1e999}', "invalid-json"),
        (b'{"user":"\xff"}', "invalid-request"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(place, body, code):
    """400 for what is not strict JSON, for params of other types, unknown ones, and owners that are no keys."""
    headers = {"Idempotency-Key": key(), "Content-Type": "application/json"}
    answer = place.client.post("/v1/types/redeem/processes", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_refusal_of_the_business_stores_nothing(place):
    """422 with the reason that the start step gave; the same key may be used again."""
    same = key()
    refused = place.start("refused", key=same)
    assert (refused.status_code, refused.json()["code"]) == (422, "refused")
    assert "not enough points" in refused.json()["detail"]
    assert place.start("mug", key=same).status_code == 201


def test_an_unknown_type_is_not_there(place):
    """404 for a type that this App does not have; the list says which there are."""
    answer = place.client.post("/v1/types/nothing/processes", json={}, headers={"Idempotency-Key": key()})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-page")
    types = {one["name"]: one for one in place.client.get("/v1/types").json()}
    assert set(types) == {"redeem", "reminder", "payment"}
    assert types["redeem"]["start"] == "/v1/types/redeem/processes"


def test_waiting_ends_when_the_process_does(place):
    """`Prefer: wait` answers as soon as the process is final, not after all of the time."""
    told = place.start("second", Prefer="wait=30").json()
    assert told["status"] == "final"
    assert told["age"] < 25
