"""Pushes over HTTP: what a supplier signs is stored before it is answered, once; nothing else gets through."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.server import forging
from tests.server.callbacks import signed
from tests.server.node import BANK_KEY, KEY, OLD_KEY, inside, wait_for
from tieout.mirror.store import MirrorStore, number

FORGERIES = 1_500
MALFORMED = 1_500


def pushed(price=90, item="h0-a", **more):
    night = {"price": [price], "open": [True]}
    change = {"kind": "delta", "group": "h0", "first": date_in(3), "count": 1, "items": {item: night}}
    return json.dumps({"changes": [change], "at": datetime.now(UTC).isoformat(), **more}).encode()


def date_in(days):
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def push(caller, body, headers, supplier="prizes"):
    return caller.post(f"/v1/push/{supplier}", content=body, headers=headers)


@pytest.fixture(scope="module")
def catalogued(place):
    """The node, once it knows the hotel."""
    copy = number("rooms", "prizes")

    async def groups(app):
        return await app.database.read(lambda tx: MirrorStore(app.database.dialect).groups(tx, copy))

    wait_for(lambda: inside(place.url, groups), "the catalogue")
    return place


def taken_in(place):
    """How many messages were taken in."""

    async def taken(app):
        row = await app.database.read(
            lambda tx: tx.fetch_one("SELECT count(*) AS n FROM tieout_inbox WHERE source LIKE 'push:%'")
        )
        return row[0]

    return inside(place.url, taken)


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_a_signed_push_is_taken_in_once(catalogued, key):
    """With either of the sender's keys: 202, and the same message again is a duplicate."""
    body = pushed()
    headers = signed(key, body)
    answer = push(catalogued.nobody, body, headers)
    told = {"effect": "accepted", "changes": 1, "ignored": 0, "gap": False}
    assert (answer.status_code, answer.json()) == (202, told)
    again = push(catalogued.nobody, body, headers)
    assert (again.status_code, again.json()["effect"]) == (202, "duplicate")


def test_a_gap_is_told(catalogued):
    """A number that was left out is in the answer."""
    gaps = []
    for sequence in (5, 6, 9):
        body = pushed(sequence=sequence, stream="told")
        gaps.append(push(catalogued.nobody, body, signed(KEY, body)).json()["gap"])
    assert gaps == [False, False, True]


def test_who_may_push_for_whom(catalogued):
    """A sender pushes for the supplier of its name; for others 403, for what no mirror has the same; unsigned 401."""
    body = pushed()
    assert push(catalogued.nobody, body, signed(BANK_KEY, body)).status_code == 403
    assert push(catalogued.nobody, body, signed(KEY, body), "unknown").status_code == 403
    assert push(catalogued.nobody, body, signed(BANK_KEY, body), "bank").status_code == 404
    assert push(catalogued.admin, body, {"content-type": "application/json"}).status_code == 401


def test_nothing_forged_is_taken_in(catalogued):
    """Of forged messages of every class none is taken in, and none is a server error."""
    before, statuses = taken_in(catalogued), Counter()
    classes = [forge for name, forge in forging.CLASSES.items() if name not in {"other_call", "other_outcome"}]
    for at in range(FORGERIES):
        chance = Random(at)
        body = pushed(price=chance.randrange(1_000))
        original = forging.Message("prizes", body, signed(KEY, body))
        forged = classes[at % len(classes)](original, chance)
        if forged != original:
            statuses[push(catalogued.nobody, forged.body, forged.headers).status_code] += 1
    assert sum(statuses.values()) > FORGERIES * 0.9
    assert {status for status in statuses if status != 401} == set()
    assert taken_in(catalogued) == before


ODD = [None, -1, 1.5, "", [], {}, True, "x" * 300, 1 << 70]
WRONG = {
    "changes": ODD,
    "at": ["now", 5, [], {}, True, "2026-01-01"],
    "sequence": [-1, 1.5, "1", [], {}, True, 1 << 70],
    "colour": ODD,
}
WRONG_OF_CHANGE = {
    "kind": ODD,
    "items": [None, 1, "", [], {"h0-a": None}, {"": {"price": [1], "open": [True]}}, {"h0-a": []}],
    "first": [None, "", "today", 5, "2026-13-01", [], {}, True],
    "count": [0, -1, 2, 1.5, "1", 1 << 40, [], None],
    "Kind": ODD,
}
WRONG_OF_NIGHT = {
    "price": [[], [1, 2], "1", ["1"], [1.5], [True], [1 << 40], {"a": 1}],
    "open": [[1], ["yes"], [[]], [{}], [0.5]],
    "colour": [["red"], []],
}


def broken(chance: Random) -> bytes:
    """A message that no mirror can take in: cut, of other types, without what it needs, or not JSON at all."""
    message = json.loads(pushed())
    change = message["changes"][0]
    places = [(message, WRONG), (change, WRONG_OF_CHANGE), (change["items"]["h0-a"], WRONG_OF_NIGHT)]
    at = chance.randrange(len(places) + 2)
    if at == len(places):
        return pushed()[: chance.randrange(len(pushed()))]
    if at > len(places):
        return chance.randbytes(chance.randrange(200))
    part, wrong = places[at]
    name = chance.choice(list(wrong))
    part[name] = chance.choice(wrong[name])
    return json.dumps(message).encode()


def test_nothing_malformed_is_taken_in(catalogued):
    """Rightly signed messages that make no sense are refused as the sender's fault, whatever is wrong with them."""
    before, statuses = taken_in(catalogued), Counter()
    for at in range(MALFORMED):
        body = broken(Random(at))
        statuses[push(catalogued.nobody, body, signed(KEY, body)).status_code] += 1
    assert set(statuses) == {400, 422}
    assert taken_in(catalogued) == before


def test_changed_bytes_never_break_the_server(catalogued):
    """A rightly signed message with some bytes changed is taken in or refused; it is never a server error."""
    statuses = Counter()
    for at in range(MALFORMED):
        chance, body = Random(at), bytearray(pushed())
        for _ in range(chance.randrange(1, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        statuses[push(catalogued.nobody, bytes(body), signed(KEY, bytes(body))).status_code] += 1
    assert set(statuses) <= {202, 400, 422}
