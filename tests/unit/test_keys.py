"""Request keys, ids and call keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import InvalidKey, UnknownCall
from tieout.identity import KEY_BYTES, call_key, fingerprint, key_bytes, parse_call_key, process_id

PINNED_ID = "1401d22bd30612d19e11f1cd28b92b50"

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(KEYS)
def test_a_key_is_its_utf8(key):
    """A key of 1 to 255 bytes of UTF-8 is taken as those bytes, NUL, case and spaces included."""
    assert key_bytes(key) == key.encode()


@pytest.mark.parametrize("key", ["", "k" * (KEY_BYTES + 1), "é" * 128, "\ud800", "a\udfffb"])
def test_a_key_that_no_database_could_hold_is_refused(key):
    """An empty key, one of more than 255 bytes and one that is not Unicode raise `InvalidKey`."""
    with pytest.raises(InvalidKey):
        key_bytes(key)


@pytest.mark.parametrize("key", [b"k", 5, None, ["k"]])
def test_a_key_is_a_str(key):
    """What is not a str is refused, and the message names its type."""
    with pytest.raises(InvalidKey, match=type(key).__name__):
        key_bytes(key)


def test_the_longest_key_is_taken():
    """255 bytes are allowed, whatever the number of characters."""
    assert len(key_bytes("é" * 127 + "k")) == KEY_BYTES


def test_the_refusal_names_what_is_refused():
    """The message says whether the key or the owner is wrong."""
    with pytest.raises(InvalidKey, match="owner"):
        key_bytes("", "owner")


@given(st.lists(st.tuples(KEYS, KEYS, KEYS), min_size=2, max_size=2, unique=True))
def test_ids_differ_when_any_part_differs(parts):
    """Type, owner and key are told apart, also where their texts run into each other."""
    ids = [process_id(name, owner.encode(), key.encode()) for name, owner, key in parts]
    assert ids[0] != ids[1]


def test_a_part_cannot_lean_on_the_next():
    """("a", "bc") and ("ab", "c") are different processes."""
    assert process_id("t", b"a", b"bc") != process_id("t", b"ab", b"c") != process_id("ta", b"", b"bc")


def test_an_id_never_changes():
    """The id of a process is what it was when its row was written: it is part of the stored format."""
    assert process_id("redeem", b"ann", b"r1").hex() == PINNED_ID


def test_fingerprints_keep_the_order():
    """A fingerprint stands for these strings in this order."""
    assert fingerprint("a", "b") != fingerprint("b", "a")
    assert fingerprint("ab") != fingerprint("a", "b")


@given(st.binary(min_size=16, max_size=16), st.integers(1, 999_999_999))
def test_a_call_key_is_read_back(process, n):
    """A call key names the process and the entry that it was made of."""
    assert parse_call_key(call_key(process, n)) == (process, n)


@given(st.one_of(st.text(max_size=60), st.integers(), st.none(), st.binary(max_size=40)))
def test_anything_else_is_no_call_key(text):
    """Whatever comes in place of a call key raises `UnknownCall`, and nothing else."""
    with pytest.raises(UnknownCall):
        parse_call_key(text)


@pytest.mark.parametrize("tail", ["", ":", ":-1", ":1.0", ":٣", ":1234567890", " :1", ":1:2"])
def test_a_call_key_has_a_plain_number(tail):
    """The entry is at most nine ASCII digits."""
    with pytest.raises(UnknownCall):
        parse_call_key("0" * 32 + tail)
