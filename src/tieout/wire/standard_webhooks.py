"""Standard Webhooks: how a callback is signed and checked. Symmetric signatures (`v1`, HMAC-SHA256) only.

What is signed is the id, the time and the body as it was sent, joined by full stops. The specification lets an id hold
a full stop, with which two different messages could be signed as one: here an id never has any.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from tieout.errors import ConfigError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

PREFIX = "whsec_"
"""Begins the text of a key; base64 follows."""

TOLERANCE = 300
"""Seconds that the time of a message may be away from ours, either way."""

KEY_BYTES = (24, 64)
"""Shortest and longest key."""

SIGNATURES = 10
"""Signatures of one message that are looked at: each of a sender's keys makes one."""

_ID = re.compile(r"[!-\-/-~]{1,128}")
_TIME = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)

Fault: TypeAlias = Literal["unsigned", "malformed", "incomplete", "too old", "too new", "wrong signature"]
"""What is wrong with a signature; "incomplete": it does not cover all that it has to."""


class Signed(msgspec.Struct, frozen=True):
    """A message whose signature is right: its id, which tells it from others, and the name of the key's holder."""

    id: str
    sender: str


def parse_key(text: str) -> bytes:
    """The bytes of a key written as `whsec_` and base64; raise `ConfigError`."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("a webhook key is written whsec_ and base64") from error
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise ConfigError(f"a webhook key has {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes, not {len(key)}")
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a message, as it stands in the header."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def sign(key: bytes, message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a message; `at` in whole seconds since 1970."""
    return {ID: message_id, TIMESTAMP: str(at), SIGNATURE: signature(key, message_id, str(at), body)}


def verify(
    headers: Mapping[str, Sequence[str]], body: bytes, keys: Mapping[str, Sequence[bytes]], now: float
) -> Signed | Fault:
    """Who signed a message, or what is wrong with it.

    `headers` are all fields by lower-case name, `keys` those of each sender, `now` seconds since 1970. Every key is
    tried, and in constant time, so that how long it takes says nothing about any of them.
    """
    fields = [headers.get(name, ()) for name in (ID, TIMESTAMP, SIGNATURE)]
    if not all(fields):
        return "unsigned"
    if any(len(field) != 1 for field in fields):
        return "malformed"
    message_id, timestamp, given = (field[0] for field in fields)
    if not (_ID.fullmatch(message_id) and _TIME.fullmatch(timestamp) and given.isascii()):
        return "malformed"
    if abs(age := now - int(timestamp)) > TOLERANCE:
        return "too old" if age > 0 else "too new"
    signatures = given.split(" ")[:SIGNATURES]
    senders = [
        sender
        for sender, of_sender in keys.items()
        for key in of_sender
        if _is_among(signature(key, message_id, timestamp, body), signatures)
    ]
    return Signed(message_id, senders[0]) if senders else "wrong signature"


def _is_among(right: str, signatures: Sequence[str]) -> bool:
    return any([hmac.compare_digest(right, one) for one in signatures])  # noqa: C419 - all are compared, always
