"""Keys, ids, strict and canonical JSON, fingerprints: pure functions of their arguments."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Literal, NoReturn, TypeAlias

import msgspec

from tieout.errors import InvalidJson, InvalidKey, InvalidParams, TieoutError, UnknownCall, UnknownProcess

Spelling: TypeAlias = Literal["decimal", "moment"]
"""Types whose equal values may be written in several ways."""

KEY_BYTES = 255
"""Longest request key or owner, in bytes of UTF-8: what every database can index."""

CLIENT_END = b"\xff"
"""Ends the client in front of an owner."""

JSON_DEPTH = 64
"""Deepest nesting of JSON that is read: far above real payloads, far below the interpreter's recursion limit."""

JSON_DIGITS = 40
"""Longest integer that is read from JSON, in digits."""

_ALWAYS_FINITE = frozenset({str, int, bool, type(None)})
_FRAME = Struct(">I")
_fingerprint_hash = blake2b(digest_size=16, person=b"tieout.finger").copy
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_STRINGS = frozenset({str})
_encoder = msgspec.json.Encoder(decimal_format="string")
_sorting = msgspec.json.Encoder(order="deterministic")


def key_bytes(key: str, what: str = "request key") -> bytes:
    """The bytes that identify `key`; raise `InvalidKey` unless it is 1 to 255 bytes of UTF-8."""
    if not isinstance(key, str):
        raise InvalidKey(f"the {what} must be a str, not {type(key).__name__}")
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"the {what} is not valid Unicode") from error
    if not 1 <= len(encoded) <= KEY_BYTES:
        raise InvalidKey(f"the {what} must be 1 to {KEY_BYTES} bytes of UTF-8, not {len(encoded)}")
    return encoded


def process_id(type_name: str, owner: bytes, key: bytes) -> bytes:
    """The 16 bytes that identify a process: BLAKE2b-128 of the three parts, each behind its length."""
    hashed = _type_hash(type_name).copy()
    hashed.update(_FRAME.pack(len(owner)) + owner + _FRAME.pack(len(key)) + key)
    return hashed.digest()


@lru_cache(maxsize=1_024)
def _type_hash(type_name: str) -> blake2b:
    name = type_name.encode()
    return blake2b(_FRAME.pack(len(name)) + name, digest_size=16, person=b"tieout.process")


def client_owner(client: str, owner: bytes) -> bytes:
    """The owner of what a client of the HTTP API has started: the client in front, so that no two can meet.

    Between them stands a byte that UTF-8 never has: what is started without a client cannot be a client's either.
    Raise `InvalidKey` when both together are longer than 255 bytes.
    """
    joined = client.encode() + CLIENT_END + owner
    if len(joined) > KEY_BYTES:
        raise InvalidKey(f"the owner must be at most {KEY_BYTES - len(client.encode()) - 1} bytes of UTF-8")
    return joined


def split_owner(owner: bytes) -> tuple[str, str]:
    """The client, "" without one, and the owner within it."""
    client, end, rest = owner.partition(CLIENT_END)
    return (client.decode(), rest.decode(errors="replace")) if end else ("", owner.decode(errors="replace"))


def owners_of(client: str) -> tuple[bytes, bytes]:
    """The range that the owners of a client's processes lie in, without its end; of every process for ""."""
    return (client.encode() + CLIENT_END, client.encode() + CLIENT_END + CLIENT_END) if client else (b"", CLIENT_END)


def fingerprint(*parts: str) -> bytes:
    """16 bytes that stand for these strings, in this order."""
    hashed = _fingerprint_hash()
    for part in parts:
        raw = part.encode()
        hashed.update(_FRAME.pack(len(raw)) + raw)
    return hashed.digest()


def fingerprints(first: str, others: Iterable[bytes], *last: str) -> list[bytes]:
    """`fingerprint(first, one, *last)` for the text that is each of `others` in UTF-8."""
    raw = first.encode()
    begun = _fingerprint_hash()
    begun.update(_FRAME.pack(len(raw)) + raw)
    end = b"".join(_FRAME.pack(len(one.encode())) + one.encode() for one in last)
    copy, frame, made = begun.copy, _FRAME.pack, list[bytes]()
    for one in others:
        hashed = copy()
        hashed.update(frame(len(one)) + one + end)
        made.append(hashed.digest())
    return made


def call_key(process: bytes, n: int) -> str:
    """The idempotency key that the downstream is given for entry `n` of a process: `id:n`."""
    return f"{process.hex()}:{n}"


def parse_call_key(text: str) -> tuple[bytes, int]:
    """The process id and entry that `call_key` joined; raise `UnknownCall` for anything else."""
    if not isinstance(text, str):
        raise UnknownCall("a call key is a str")
    head, colon, tail = text.partition(":")
    if not (colon and len(head) == 32 and len(tail) <= 9 and tail.isascii() and tail.isdigit()):
        raise UnknownCall("this is not a call key of tieout")
    try:
        return bytes.fromhex(head), int(tail)
    except ValueError as error:
        raise UnknownCall("this is not a call key of tieout") from error


def raw_id(text: str) -> bytes:
    """The 16 bytes of a process id; raise `UnknownProcess` for what cannot be one."""
    return hex_id(text, UnknownProcess("a process id is 32 hex digits"))


def hex_id(text: str, refusal: TieoutError, size: int = 16) -> bytes:
    """The `size` bytes of an id that is told in hex digits; raise `refusal` for what cannot be one."""
    try:
        raw = bytes.fromhex(text)
    except (ValueError, TypeError) as error:
        raise refusal from error
    if len(raw) != size:
        raise refusal
    return raw


def encode_json(value: Any) -> str:
    """Compact JSON of a value; raise `InvalidParams` for what JSON cannot hold, NaN and infinity included."""
    try:
        encoded = _encoder.encode(value)
        # The encoder writes null for what is not finite, and few brackets, or few characters, cannot nest deeply.
        if b"null" in encoded or (len(encoded) > JSON_DEPTH and encoded.count(b"[") + encoded.count(b"{") > JSON_DEPTH):
            _refuse_non_finite(msgspec.to_builtins(value, str_keys=True), JSON_DEPTH - 1)
        return encoded.decode()
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError) as error:
        raise InvalidParams(f"this cannot be stored as JSON: {error}") from error


def storable_text(text: str, length: int) -> str:
    """At most `length` characters of `text`, in which "?" stands for what a database cannot hold as text."""
    return text[:length].replace("\0", "?").encode(errors="replace").decode()


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, and 1.0 written as 1."""
    if type(value) is dict and (spelled := _flat_object(value)) is not None:
        return spelled
    if type(value) is str:
        return _canonical(value)
    plain = msgspec.to_builtins(value, str_keys=True, builtin_types=())
    return _canonical(_whole_floats(plain))


def _flat_object(value: dict[Any, Any]) -> str | None:
    """The same spelling, several times as fast, of an object that is as most params are; None for any other.

    Of ASCII and integers there is but one compact spelling, but for the character DEL.
    """
    if not (_ALWAYS_FINITE.issuperset(map(type, value.values())) and _STRINGS.issuperset(map(type, value))):
        return None
    try:
        text = _sorting.encode(value)
    except (OverflowError, UnicodeError):
        return None
    return text.decode() if text.isascii() and b"\x7f" not in text else None


def digest(value: Any) -> str:
    """16 hex digits that equal values share, whatever their spelling in JSON."""
    return blake2b(canonical_json(value).encode(), digest_size=8).hexdigest()


def one_spelling(value: Any, spelling: Spelling | None) -> Any:
    """A plain value that was a Decimal or a moment, in the one way in which equal ones are written."""
    if spelling is None or not isinstance(value, str):
        return value
    try:
        if spelling == "decimal":
            return _shortest(Decimal(value))
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC).isoformat() if moment.tzinfo else value
    except (ValueError, ArithmeticError):
        return value


def parse_json(text: str | bytes) -> Any:
    """Plain values from strict JSON, in bytes of UTF-8.

    Raise `InvalidJson` for NaN, duplicate keys, deep nesting, huge integers, or half a surrogate pair.
    """
    try:
        # Of bytes the standard library would let what is no UTF-8 pass, as halves of surrogate pairs.
        text = text if isinstance(text, str) else text.decode()
        value = json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_no_constant, parse_int=_short_int)
        _refuse_non_finite(value, JSON_DEPTH - 1)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InvalidJson(f"nested deeper than {JSON_DEPTH}") from error
    except ValueError as error:
        raise InvalidJson(str(error)) from error
    return value


def _shortest(number: Decimal) -> str:
    """One text for equal Decimals; unlike `normalize`, which rounds to the context's precision."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return str(number)
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    return f"{'-' if sign else ''}{kept}e{exponent + len(text) - len(kept)}" if kept else "0"


def _refuse_non_finite(value: Any, depth: int) -> None:
    if isinstance(value, dict):
        items: Any = value.values()
    elif isinstance(value, (list, tuple)):
        items = value
    else:
        items = (value,)
    for item in items:
        if type(item) in _ALWAYS_FINITE:
            continue
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError("NaN and infinity are not numbers that can be compared")
        if isinstance(item, (dict, list, tuple)):
            if depth == 0:
                raise ValueError(f"nested deeper than {JSON_DEPTH}")
            _refuse_non_finite(item, depth - 1)


def _whole_floats(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_floats(item) for item in value]
    return value


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("an object has the same key twice")
    return unique


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _short_int(text: str) -> int:
    if len(text) > JSON_DIGITS:
        raise ValueError(f"an integer has more than {JSON_DIGITS} digits")
    return int(text)
