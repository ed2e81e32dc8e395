"""What a request with a key is answered, and what a query for a key finds."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Answered(msgspec.Struct, Generic[T], frozen=True):
    """The answer to a key: every request with it is given this one.

    `replayed` is False for the request that caused it, and True when it was there already.
    """

    value: T
    replayed: bool


class InFlight(msgspec.Struct, frozen=True):
    """No answer yet: a request with this key is at work, and will commit or roll back."""


class Absent(msgspec.Struct, frozen=True):
    """No answer is kept, and no request with this key is at work: see `find` for what may still come."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """A response as it is kept: `headers` are those of its route, in their order and spelling."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
