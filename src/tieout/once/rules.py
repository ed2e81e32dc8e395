"""What makes two requests the same, and what becomes of a request: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.identity import canonical_json, fingerprint, key_bytes

TRANSIENT = frozenset({401, 403, 407, 408, 421, 425, 429})
"""Refusals that say nothing about the request itself: with another token, or later, it may be accepted."""

OWNERS = 1_000
"""How many owners' hashes are kept begun, in less than a megabyte: identifying their requests takes half as long."""


class Request(msgspec.Struct, frozen=True):
    """A request with a key: `id` stands for scope, owner and key, `fingerprint` for all else that it says."""

    id: bytes
    scope: str
    owner: bytes
    key: bytes
    fingerprint: bytes


class Kept(msgspec.Struct, frozen=True):
    """An answer as it is stored: JSON, or the status, headers (JSON) and body of an HTTP response."""

    answer: str | None
    status: int | None = None
    headers: str | None = None
    body: bytes | None = None


class Stored(msgspec.Struct, frozen=True):
    """The answer that is stored under an id, and the request that it was given to."""

    scope: str
    owner: bytes
    key: bytes
    fingerprint: bytes
    kept: Kept


class Replay(msgspec.Struct, frozen=True):
    """The same request was answered: it is given that answer."""

    kept: Kept


class Changed(msgspec.Struct, frozen=True):
    """The key was used for another request."""


class Taken(msgspec.Struct, frozen=True):
    """The id belongs to another key: one in 2^128."""


class Busy(msgspec.Struct, frozen=True):
    """Somebody else is at work on the key."""


class Begin(msgspec.Struct, frozen=True):
    """Nobody has answered the key, and nobody else is at it."""


Verdict: TypeAlias = Replay | Changed | Taken | Busy | Begin


def identify(scope: str, owner: str, key: str, content: bytes) -> Request:
    """The request of this key whose fingerprint is `content`; raise `InvalidKey`. An empty owner is the scope's own."""
    owned, hashed = _owner(scope, owner)
    raw = key_bytes(key, "key")
    hashed = hashed.copy()
    hashed.update(b"%4d%b" % (len(raw), raw))
    return Request(hashed.digest(), scope, owned, raw, content)


@lru_cache(maxsize=OWNERS)
def _owner(scope: str, owner: str) -> tuple[bytes, blake2b]:
    """The bytes of an owner, and the hash of all its ids as far as they are the same."""
    owned = key_bytes(owner, "owner") if owner != "" else b""
    name = scope.encode()
    # Each part behind its length: no two triples spell the same bytes.
    parts = b"%4d%b%4d%b" % (len(name), name, len(owned), owned)
    return owned, blake2b(parts, digest_size=16, person=b"tieout.once")


def verdict(request: Request, stored: Stored | None, *, free: bool) -> Verdict:
    """What becomes of a request, given what is stored under its id and whether nobody else is at work on it."""
    if stored is None:
        return Begin() if free else Busy()
    if (stored.scope, stored.owner, stored.key) != (request.scope, request.owner, request.key):
        return Taken()
    if stored.fingerprint != request.fingerprint:
        return Changed()
    return Replay(stored.kept)


def params_fingerprint(plain: Mapping[str, Any], defaults: Mapping[str, Any]) -> bytes:
    """What stands for the params of a request. A default counts as not given.

    So a param that newer code adds with a default does not make another request of an old one.
    """
    if defaults:
        plain = {n: value for n, value in plain.items() if n not in defaults or not _same(value, defaults[n])}
    return fingerprint(canonical_json(plain))


def _same(value: Any, default: Any) -> bool:
    return bool(value == default) and isinstance(value, bool) is isinstance(default, bool)


def http_fingerprint(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """What stands for an HTTP request: its method, path, query and body, byte by byte."""
    raw_path = path.encode("utf-8", "surrogatepass").decode("latin-1")
    return fingerprint(method, raw_path, query.decode("latin-1"), blake2b(body).hexdigest())


Disposal: TypeAlias = Literal["commit", "refuse", "forget"]


def disposal(status: int, forgotten: frozenset[int] = TRANSIENT) -> Disposal:
    """What becomes of a route's writes and of its answer.

    commit  the writes and the answer stay, together
    refuse  a refusal is given again, and has changed nothing: the answer alone stays
    forget  nothing stays: the request may be tried again
    """
    if status in forgotten or status >= 500:
        return "forget"
    return "refuse" if status >= 400 else "commit"
