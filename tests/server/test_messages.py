"""Messages that could not be taken in, over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tieout import App, Delivery, InvalidParams

SOURCE = "broker/over-http"


@pytest.fixture
def number(place) -> int:
    """The number of a message that is dead."""

    async def keep() -> int:
        async def fail(message, first):
            raise InvalidParams("no price")

        async with App(place.url, sweep=False, migrate=False) as app:
            for letter in await app.letters.list(source=SOURCE):
                await app.letters.drop(letter.id, actor="test", reason="from before")
            app.consuming.declare(SOURCE, fail)
            await app.consuming.sources[SOURCE].take(Delivery("m1", "t", "", {}, b"{}"))
            (letter,) = await app.letters.list(source=SOURCE)
            return letter.id

    return asyncio.run(keep())


def test_a_message_is_listed_and_shown(place, number):
    """The list and the page say where it came from, what it says and why it is dead; filters narrow the list."""
    told = place.operator.get(f"/v1/messages/{number}").json()
    assert (told["from"], told["state"], told["code"], told["body"]) == (SOURCE, "dead", "invalid-params", "{}")
    for filters, there in (({"state": "dead"}, True), ({"state": "waiting"}, False), ({"from": "a/b"}, False)):
        listed = place.operator.get("/v1/messages", params=filters).json()
        assert (number in {one["id"] for one in listed["items"]}) is there
    assert f'tieout_letters{{source="{SOURCE}",state="dead"}} 1.0' in place.admin.get("/metrics").text


def test_a_message_is_replayed_and_dropped_by_operators(place, number):
    """Both take a reason and are audited; a viewer may neither read nor act; what is gone is 404."""
    assert place.viewer.get("/v1/messages").status_code == 403
    assert place.viewer.post(f"/v1/messages/{number}/drop", json={"reason": "x"}).status_code == 403
    assert place.operator.post(f"/v1/messages/{number}/drop", json={}).status_code == 400
    replayed = place.operator.post(f"/v1/messages/{number}/replay", json={"reason": "mended"}).json()
    assert (replayed["state"], replayed["attempts"]) == ("waiting", 0)
    assert place.operator.post(f"/v1/messages/{number}/drop", json={"reason": "a test"}).status_code == 200
    gone = place.operator.get(f"/v1/messages/{number}")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown-message")
    acts = place.operator.get("/v1/audit", params={"object": f"message:{number}"}).json()["items"]
    assert [(act["action"], act["reason"]) for act in acts] == [
        ("message-drop", "a test"),
        ("message-replay", "mended"),
    ]
