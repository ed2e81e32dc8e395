"""Keys of every kind: the same verdict on each database, and never two keys taken for one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tieout
from tests.once.place import Counter, Place, effects
from tieout.once.rules import Begin, Busy, Changed, Kept, Replay, Stored, Taken, identify, params_fingerprint, verdict

UGLY = [
    "A",
    "a",
    "a ",
    " a",
    "\uff41",
    "á",
    "a\u0301",
    "\0",
    "a\0",
    "ß",
    "ss",
    "%",
    "_",
    "'",
    '"',
    "\\",
    "\n",
    "\u202e",
    "🎁",
]
"""Keys that a careless collation, pattern or escape would take for one another."""

texts = st.text(min_size=1, max_size=60).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text))


async def test_ugly_keys_are_all_different(place: Place, counter: Counter) -> None:
    """Keys that look alike, or hold what text often may not, are different keys, each with its own answer."""
    app = await place.open()
    issue = counter.prizes(app)
    keys = [*UGLY, "k" * 255, "ü" * 127]
    first = {key: await issue.run(key, owner=key, sku="mug") for key in keys}
    assert [answer.replayed for answer in first.values()] == [False] * len(keys)
    assert [(await issue.run(key, owner=key, sku="mug")).value for key in keys] == [a.value for a in first.values()]
    assert await effects(app) == len(keys)


@pytest.mark.parametrize("key", ["", "k" * 256, "ü" * 128, "\ud800", 7, None, b"k"])
async def test_what_is_no_key_is_refused(place: Place, counter: Counter, key: object) -> None:
    """Empty, too long, broken or no text: refused as a key, and nothing is done."""
    app = await place.open()
    issue = counter.prizes(app)
    with pytest.raises(tieout.InvalidKey):
        await issue.run(key, sku="mug")
    with pytest.raises(tieout.InvalidKey):
        await issue.find(key)
    if key != "":  # no owner at all: the scope's own keys
        with pytest.raises(tieout.InvalidKey):
            await issue.run("k1", owner=key, sku="mug")
    assert counter.runs == 0


@given(texts, texts, texts, texts)
def test_ids_are_those_of_owner_and_key(owner: str, key: str, other_owner: str, other_key: str) -> None:
    """Two requests have one id if and only if scope, owner and key are the same, byte by byte."""
    same = (owner, key) == (other_owner, other_key)
    assert (identify("s", owner, key, b"").id == identify("s", other_owner, other_key, b"").id) is same


def test_the_seams_between_the_parts_count() -> None:
    """Moving a character from scope to owner to key makes another id."""
    cuts = itertools.combinations(range(1, 5), 2)
    ids = {identify("abcde"[:i], "abcde"[i:j], "abcde"[j:], b"").id for i, j in cuts}
    assert len(ids) == 6
    assert identify("s", "", "k", b"").id != identify("s", "k", "k", b"").id


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text("ab"), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from("xyz"), json_values), st.dictionaries(st.sampled_from("xyz"), json_values))
def test_fingerprints_tell_params_apart(params: dict, others: dict) -> None:
    """Other values give another fingerprint, however they are ordered; equal ones the same."""
    same = repr(sorted(params.items())) == repr(sorted(others.items()))
    assert (params_fingerprint(params, {}) == params_fingerprint(dict(reversed(others.items())), {})) is same


@pytest.mark.parametrize(
    ("value", "default", "same"), [(1, 1, True), (2, 1, False), (True, 1, False), (0, False, False)]
)
def test_only_the_default_counts_as_not_given(value: object, default: object, same: bool) -> None:
    """A param left out equals its default, and nothing that merely compares equal in Python."""
    assert (params_fingerprint({"x": value}, {"x": default}) == params_fingerprint({}, {})) is same


def test_the_verdict() -> None:
    """What is stored decides; where nothing is, whether somebody else is at work."""
    request = identify("s", "o", "k", b"print")
    stored = Stored("s", b"o", b"k", b"print", Kept("1"))
    for free in (True, False):
        assert verdict(request, stored, free=free) == Replay(Kept("1"))
        assert verdict(identify("s", "o", "k", b"other"), stored, free=free) == Changed()
        for other in (
            identify("t", "o", "k", b"print"),
            identify("s", "p", "k", b"print"),
            identify("s", "o", "l", b""),
        ):
            assert verdict(other, stored, free=free) == Taken()
    assert verdict(request, None, free=True) == Begin()
    assert verdict(request, None, free=False) == Busy()


async def test_an_id_that_belongs_to_another_key_is_refused(
    place: Place, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should two keys ever share a hash, the second is refused, and is not given the answer to the first."""
    app = await place.open()
    issue = counter.prizes(app)

    def collide(scope: str, owner: str, key: str, content: bytes) -> object:
        request = identify(scope, owner, key, content)
        return type(request)(b"\1" * 16, request.scope, request.owner, request.key, request.fingerprint)

    monkeypatch.setattr("tieout.once.define.identify", collide)
    await issue.run("k1", sku="mug")
    with pytest.raises(tieout.InvalidKey, match="taken by another key"):
        await issue.run("k2", sku="mug")
    with pytest.raises(tieout.InvalidKey, match="taken by another key"):
        await issue.find("k2")
    assert await effects(app) == 1
