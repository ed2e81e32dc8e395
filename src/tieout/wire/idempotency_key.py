"""The Idempotency-Key header field, after draft-ietf-httpapi-idempotency-key-header.

Its value is a string of Structured Fields (RFC 9651): `Idempotency-Key: "8e03978e"`. Many clients leave the quotation
marks out, so the bare form is read too: `8e03978e` and `"8e03978e"` are the same key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tieout.errors import InvalidKey
from tieout.identity import KEY_BYTES

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
"""The response header that marks an answer which was given before."""

LONGEST_FIELD = 2 * KEY_BYTES + 2
"""Bytes of the longest field that can hold a key: each character escaped, and the quotation marks."""

_STRING = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(rb"[\x21\x23-\x2b\x2d-\x7e]+")
_ESCAPED = re.compile(rb'\\(["\\])')


def parse_key(fields: Sequence[bytes]) -> str | None:
    """The key in a request's header fields of this name, None when there are none.

    Raise `InvalidKey` for several fields, for what is neither a string nor visible ASCII without commas and quotation
    marks, for parameters, and for an empty or too long key.
    """
    if not fields:
        return None
    if len(fields) > 1:
        raise InvalidKey(f"{HEADER} is there {len(fields)} times")
    field = fields[0].strip(b" \t")
    if len(field) > LONGEST_FIELD:
        raise InvalidKey(f"{HEADER} is longer than {KEY_BYTES} characters")
    if quoted := _STRING.fullmatch(field):
        return _checked(_ESCAPED.sub(rb"\1", quoted[1]).decode("ascii"))
    if _BARE.fullmatch(field):
        return _checked(field.decode("ascii"))
    raise InvalidKey(f'{HEADER} must be one string such as "8e03978e-40d5-43dd-bc93-6894a57f9324"')


def _checked(key: str) -> str:
    if not 1 <= len(key) <= KEY_BYTES:
        raise InvalidKey(f"{HEADER} must hold 1 to {KEY_BYTES} characters, not {len(key)}")
    return key
