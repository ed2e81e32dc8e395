"""The header field and the problem body, as others write and read them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import InvalidKey
from tieout.wire.idempotency_key import parse_key
from tieout.wire.problem import problem

VISIBLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def quoted(key: str) -> bytes:
    """A key as RFC 9651 writes a string."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


@given(st.text(VISIBLE, min_size=1, max_size=255))
def test_a_string_is_read_as_it_was_meant(key: str) -> None:
    """Every visible ASCII string comes out of its quoted form as it went in."""
    assert parse_key([b" \t" + quoted(key) + b" "]) == key


@given(st.text(st.sampled_from("abcXYZ019-_.:/+=#%&;~{}'"), min_size=1, max_size=255))
def test_the_bare_form_is_the_same_key(key: str) -> None:
    """Without quotation marks it is the same key, for all that clients use as keys."""
    assert parse_key([key.encode()]) == parse_key([quoted(key)]) == key


def test_without_a_field_there_is_no_key() -> None:
    """A request without the header has no key; that is not the same as an empty one."""
    assert parse_key([]) is None


@pytest.mark.parametrize(
    "field",
    [
        *(b"", b" ", b'""', b'"', b'"a', b'a"', b'"a"b', b'"a";q=1', b'"a", "b"', b"a,b", b"a b", b'"a\\b"', b'"a\\'),
        *(b"\xff", b'"\xc3\xa9"', b'"a\x00"', b'"a\tb"', b"a\x7f", b"k" * 256, quoted("k" * 256), b"k" * 100_000),
    ],
)
def test_what_is_no_key_is_refused(field: bytes) -> None:
    """Empty, unfinished, several, parameters, control characters, other alphabets, too long: refused, never guessed."""
    with pytest.raises(InvalidKey):
        parse_key([field])


def test_several_fields_are_refused() -> None:
    """Two fields are refused, even when they say the same."""
    with pytest.raises(InvalidKey):
        parse_key([b"a", b"a"])


@given(st.binary(max_size=40))
def test_anything_is_a_key_or_refused(field: bytes) -> None:
    """No field makes the parser fail in another way, and what it gives is 1 to 255 visible ASCII characters."""
    try:
        key = parse_key([field])
    except InvalidKey:
        return
    assert key is not None and 1 <= len(key) <= 255 and key.isascii() and key.isprintable()


def test_a_problem_is_that_of_rfc_9457() -> None:
    """It has type, title, status and detail, and our code, whatever the detail holds."""
    body = json.loads(problem(422, "params-changed", 'said "no"\n\u2028'))
    assert body == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": 'said "no"\n\u2028',
        "code": "params-changed",
    }
