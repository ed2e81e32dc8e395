"""Pushes over HTTP: what a supplier signs is stored before it is answered, once; nothing else gets through."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.server.callbacks import signed
from tests.server.node import BANK_KEY, KEY, OLD_KEY
from tests.server.profiles import PROFILES
from tests.server.pushing import attack, classes_of, push, pushed, wait_for_catalogue

MUTATIONS = 3_000
CHANGED = 1_500


@pytest.fixture(scope="module")
def catalogued(place):
    """The node, once it knows the hotel."""
    wait_for_catalogue(place.url)
    return place


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


@pytest.mark.parametrize("profile", PROFILES, ids=[one.name for one in PROFILES])
def test_no_mutation_is_taken_in(catalogued, profile):
    """Every valid original is accepted, once; of mutations of every class none is, and none is a server error."""
    tried = attack(catalogued.node, profile=profile, mutations=MUTATIONS, originals=100, seed=1)
    assert (tried.refused, tried.accepted, tried.broken) == ([], [], [])
    names = classes_of(profile)
    assert set(tried.counts) == set(names) and min(tried.counts.values()) > MUTATIONS / len(names) / 2


def test_changed_bytes_never_break_the_server(catalogued):
    """A rightly signed message with some bytes changed is taken in or refused; it is never a server error."""
    statuses = Counter()
    for at in range(CHANGED):
        chance, body = Random(at), bytearray(pushed())
        for _ in range(chance.randrange(1, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        statuses[push(catalogued.nobody, bytes(body), signed(KEY, bytes(body))).status_code] += 1
    assert set(statuses) <= {202, 400, 422}
