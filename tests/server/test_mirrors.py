"""Mirrors over HTTP: stays, items, searches and changes, as the mirror itself tells them."""

from __future__ import annotations

import pytest

from tests.server.callbacks import signed
from tests.server.node import KEY, wait_for
from tests.server.pushing import date_in, push, pushed

ITEM = "/v1/mirrors/rooms/suppliers/prizes/items/h0-b"


@pytest.fixture(scope="module")
def known(place):
    """The node, once it knows every night of the hotel."""

    def is_known():
        cells = place.client.get(ITEM).json().get("cells", [])
        return cells and all(cell["values"] for cell in cells)

    wait_for(is_known, "the nights")
    return place


def test_which_mirrors_there_are(known):
    """Each mirror is listed with its suppliers and fields; whoever may read is told, others are not."""
    (mirror,) = known.client.get("/v1/mirrors").json()["items"]
    assert (mirror["mirror"], mirror["suppliers"], mirror["fields"]) == ("rooms", ["prizes"], ["open", "price"])
    assert known.nobody.get("/v1/mirrors").status_code == 401
    assert known.metrics.get("/v1/mirrors").status_code == 403


def test_a_stay_and_an_item(known):
    """A stay is folded, with its age and source; an item has each of its nights."""
    offer = known.client.get(f"{ITEM}/stay", params={"first": date_in(2), "nights": 3, "refresh": "false"}).json()
    assert offer["values"] == {"price": 300, "open": True} and offer["source"] in {"group", "item"}
    assert offer["age"] >= 0 and 0 < offer["p_true"] <= 1 and offer["suspect"] is False
    item = known.viewer.get(ITEM).json()
    assert (item["supplier"], item["group"], item["item"], len(item["cells"])) == ("prizes", "h0", "h0-b", 10)
    assert item["cells"][0]["values"]["price"] == 100


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/mirrors/no/suppliers/prizes/items/h0-a", 404),
        ("/v1/mirrors/rooms/suppliers/no/items/h0-a", 404),
        ("/v1/mirrors/rooms/suppliers/prizes/items/no", 404),
        (f"{ITEM}/stay?first=soon", 422),
        (f"{ITEM}/stay", 422),
        (f"{ITEM}/stay?first=2001-01-01", 422),
        (f"{ITEM}/stay?first={date_in(1)}&nights=0", 400),
        ("/v1/mirrors/rooms/suppliers/prizes/changes?after=-1", 400),
    ],
)
def test_what_a_mirror_does_not_have(known, path, status):
    """Unknown names, and stays and cursors that are none, are told apart."""
    assert known.client.get(path).status_code == status


def test_a_search(known):
    """Items are found in the view of the node, by price and whether they are open."""
    body = {"first": date_in(2), "nights": 2, "where": {"open": True, "price": [None, 250]}, "sort": "price"}
    result = known.client.post("/v1/mirrors/rooms/search", json=body).json()
    assert result["total"] == 2 and {one["item"] for one in result["found"]} == {"h0-a", "h0-b"}
    assert result["found"][0]["offer"]["values"]["price"] == 200 and result["lag"] >= 0
    none = known.client.post("/v1/mirrors/rooms/search", json={**body, "where": {"price": [None, 1]}})
    assert none.json()["total"] == 0
    for wrong in ({"where": {"colour": True}}, {"where": {"price": [1]}}, {"first": None}, {"sort": "x"}):
        assert known.client.post("/v1/mirrors/rooms/search", json={**body, **wrong}).status_code == 422


def test_what_changes_is_fed(known):
    """Behind a cursor a change comes once, with its nights; the metrics tell of the view."""
    url = "/v1/mirrors/rooms/suppliers/prizes/changes"
    cursor = known.client.get(url).json()["cursor"]
    body = pushed(price=77, item="h0-b")
    assert push(known.nobody, body, signed(KEY, body)).status_code == 202

    def fed():
        return known.client.get(url, params={"after": cursor}).json()["changes"]

    wait_for(lambda: any(one["item"] == "h0-b" and one["cells"] == [date_in(3)] for one in fed()), "the change")
    known.client.post("/v1/mirrors/rooms/search", json={"first": date_in(2)})
    assert 'tieout_mirror_view_lag_seconds{mirror="rooms"}' in known.metrics.get("/metrics").text
