"""The service over HTTP, beside a prize service that says yes, no, later, or nothing."""

from __future__ import annotations

import uuid

import httpx
import pytest
import service
from fastapi import FastAPI, Response
from models import Account, Session, Visit
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

SECRET = {"authorization": f"Bearer {service.TOKEN}"}

prize_service = FastAPI()
asked: dict[str, str] = {}


@prize_service.put("/prizes/{key}")
async def issue(key: str, wish: dict[str, str], response: Response):
    """Say what the wish's name says."""
    asked[wish["sku"]] = key
    response.status_code = {"later": 202, "none": 410, "broken": 500}.get(wish["sku"], 200)
    return {"code": f"{wish['sku']}-1"}


@pytest.fixture
def user():
    """A user whom no other test knows."""
    return f"user-{uuid.uuid4()}"


@pytest.fixture
async def client(user):
    """A client of the service, which is open, with a user who has 150 points."""
    service.prizes.http = httpx.AsyncClient(transport=httpx.ASGITransport(prize_service), base_url="http://prizes")
    transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
    async with service.lifespan(service.api), httpx.AsyncClient(transport=transport, base_url="http://points") as made:
        async with Session.begin() as session:
            session.add(Account(name=user, points=150))
        yield made


async def visits(user):
    """How many rows of its own the service has written."""
    async with Session() as session:
        return await session.scalar(select(func.count()).select_from(Visit).where(Visit.user == user))


async def points(client, user):
    """What the service says that the user has."""
    return (await client.get(f"/accounts/{user}")).json()


def wish(user, sku="mug", request_id="r1"):
    """What a user asks for."""
    return {"request_id": request_id, "user": user, "sku": sku}


async def test_a_prize(client, user):
    """Done at once; a repetition gets the same and writes nothing, not even the service's own row."""
    first, again = [await client.post("/redemptions", json=wish(user)) for _ in range(2)]
    assert (first.status_code, first.json()["result"]) == (200, "mug-1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await points(client, user), await visits(user)) == (50, 1)
    assert (await client.get(f"/redemptions/{first.json()['id']}")).json() == first.json()


async def test_sold_out(client, user):
    """The points come back."""
    answer = await client.post("/redemptions", json=wish(user, "none"))
    assert (answer.json()["state"], await points(client, user)) == ("refunded", 150)


async def test_refused(client, user):
    """Without points there is nothing: 409, a stable code, and no row of the service's own."""
    await client.post("/redemptions", json=wish(user))
    answer = await client.post("/redemptions", json=wish(user, request_id="r2"))
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert await visits(user) == 1


async def test_the_key_again_for_something_else(client, user):
    """422: another request wants another key."""
    await client.post("/redemptions", json=wish(user))
    answer = await client.post("/redemptions", json=wish(user, "pen"))
    assert (answer.status_code, answer.json()["code"]) == (422, "params-changed")


@pytest.mark.parametrize("sku", ["later", "broken"])
async def test_told_by_a_callback(client, user, sku):
    """202 while nobody knows; the callback ends it, and a second one changes nothing."""
    waiting = await client.post("/redemptions", json=wish(user, sku))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "running")
    told = {"key": asked[sku], "code": "A1"}
    answers = [await client.post("/callbacks/prizes", json=told, headers=SECRET) for _ in range(2)]
    assert [answer.json()["effect"] for answer in answers] == ["advanced", "duplicate"]
    seen = await client.get(f"/redemptions/{waiting.json()['id']}")
    assert (seen.json()["state"], seen.json()["result"]) == ("completed", "A1")


async def test_callbacks_that_are_not_taken(client):
    """Of a call that is not known yet: 503, retry later. From a stranger: 401."""
    told = {"key": f"{uuid.uuid4().hex}:1", "code": "A1"}
    early = await client.post("/callbacks/prizes", json=told, headers=SECRET)
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (503, "unknown-call", "1")
    assert (await client.post("/callbacks/prizes", json=told)).status_code == 401


async def test_the_database_is_lost(client, user, monkeypatch):
    """503, and the same request again is welcome."""

    async def lost(*_, **__):
        raise OperationalError("COMMIT", None, ConnectionError("lost"))

    with monkeypatch.context() as broken:
        broken.setattr(service.app, "start", lost)
        answer = await client.post("/redemptions", json=wish(user))
    assert (answer.status_code, answer.json()["code"]) == (503, "commit-unknown")
    assert (await client.post("/redemptions", json=wish(user))).status_code == 200
    assert await visits(user) == 1


async def test_no_such_redemption(client):
    """404, with its code."""
    answer = await client.get("/redemptions/nonsense")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-process")
