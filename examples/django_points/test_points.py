"""The service over WSGI, as a server runs it, beside a prize service that says yes, no, later, or nothing."""

from __future__ import annotations

import uuid

import httpx
import pytest
from django.core.management import call_command
from points.models import Account, Visit
from points.redeem import prizes
from shop.wsgi import app, application

CALLBACK = {"authorization": "Bearer a secret that the prize service shares"}
PARTNER = {"authorization": "Bearer a secret that the partner shares"}
asked = {}


def issue(request):
    """Say what the wish's name says."""
    sku = "mug" if request.method == "GET" else httpx.Response(200, content=request.content).json()["sku"]
    asked[sku] = request.url.path.rpartition("/")[2]
    return httpx.Response({"later": 202, "none": 410, "broken": 500}.get(sku, 200), json={"code": f"{sku}-1"})


@pytest.fixture(scope="module", autouse=True)
def database():
    """The tables, and an end to what `wsgi` has opened."""
    call_command("migrate", verbosity=0)
    prizes.http = httpx.Client(transport=httpx.MockTransport(issue), base_url="http://prizes")
    yield
    app.close()


@pytest.fixture
def client():
    """A client of the service."""
    with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://points") as made:
        yield made


@pytest.fixture
def user():
    """A user whom no other test knows, with 150 points."""
    return Account.objects.create(name=f"user-{uuid.uuid4()}", points=150).name


def points(client, user):
    """What the service says that the user has."""
    return client.get(f"/accounts/{user}").json()["points"]


def wish(user, sku="mug", request_id="r1"):
    """What a user asks for."""
    return {"request_id": request_id, "user": user, "sku": sku}


def test_a_prize(client, user):
    """Done at once; a repetition gets the same and writes nothing, not even the service's own row."""
    first, again = [client.post("/redemptions", json=wish(user)) for _ in range(2)]
    assert (first.status_code, first.json()["result"]) == (200, "mug-1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert (points(client, user), Visit.objects.filter(user=user).count()) == (50, 1)
    assert client.get(f"/redemptions/{first.json()['id']}").json() == first.json()


def test_sold_out(client, user):
    """The points come back."""
    answer = client.post("/redemptions", json=wish(user, "none"))
    assert (answer.json()["state"], points(client, user)) == ("refunded", 150)


def test_refusals(client, user):
    """Without points 409, for a key that means something else now 422; no row of the service's own is left."""
    client.post("/redemptions", json=wish(user))
    poor = client.post("/redemptions", json=wish(user, request_id="r2"))
    changed = client.post("/redemptions", json=wish(user, "pen"))
    assert (poor.status_code, poor.json()["code"]) == (409, "refused")
    assert (changed.status_code, changed.json()["code"]) == (422, "params-changed")
    assert Visit.objects.filter(user=user).count() == 1


@pytest.mark.parametrize("sku", ["later", "broken"])
def test_told_by_a_callback(client, user, sku):
    """202 while nobody knows; the callback ends it, and a second one changes nothing."""
    waiting = client.post("/redemptions", json=wish(user, sku))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "running")
    told = {"key": asked[sku], "code": "A1"}
    answers = [client.post("/callbacks/prizes", json=told, headers=CALLBACK) for _ in range(2)]
    assert [answer.json()["effect"] for answer in answers] == ["advanced", "duplicate"]
    seen = client.get(f"/redemptions/{waiting.json()['id']}").json()
    assert (seen["state"], seen["result"]) == ("completed", "A1")


def test_callbacks_that_are_not_taken(client):
    """Of a call that is not known yet: 503, retry later. From a stranger: 401."""
    told = {"key": f"{uuid.uuid4().hex}:1", "code": "A1"}
    early = client.post("/callbacks/prizes", json=told, headers=CALLBACK)
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (503, "unknown-call", "1")
    assert client.post("/callbacks/prizes", json=told).status_code == 401


def test_points_are_granted_once(client, user):
    """A partner's repetition is given the first answer; its key for another grant is refused; a stranger's is 401."""
    key = {"idempotency-key": str(uuid.uuid4())}
    first, again = [client.post("/grants", json={"user": user, "points": 7}, headers=PARTNER | key) for _ in range(2)]
    assert (first.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert client.post("/grants", json={"user": user, "points": 8}, headers=PARTNER | key).status_code == 422
    assert client.post("/grants", json={"user": user, "points": 7}, headers=PARTNER).status_code == 400
    assert client.post("/grants", json={"user": user, "points": 7}, headers=key).status_code == 401
    assert points(client, user) == 157
