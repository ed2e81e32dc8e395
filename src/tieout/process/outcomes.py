"""What a call or a query may answer."""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")


class Succeeded(msgspec.Struct, Generic[T], frozen=True):
    """The downstream did it; `value` is what it answered. Final."""

    value: T


class Failed(msgspec.Struct, frozen=True):
    """The downstream refused for good, and has done nothing. Final. Two failures agree whatever their codes."""

    code: str
    detail: str = ""


class Pending(msgspec.Struct, frozen=True):
    """The downstream has it and is not done. `after` is when to ask again, in seconds, if it said so."""

    after: float | None = None


class Unknown(msgspec.Struct, frozen=True):
    """Nobody can tell: no answer, a server error, an answer that makes no sense. `raw` is kept as evidence."""

    reason: str = ""
    raw: str = ""


class NotFound(msgspec.Struct, frozen=True):
    """Answer of a query: the downstream does not know the key. Believed only after the call's settle time."""


class NotSentYet(msgspec.Struct, frozen=True):
    """The request has certainly not left this machine: `reason` says why."""

    reason: str = ""


Answer: TypeAlias = Succeeded[T] | Failed | Pending | Unknown
Found: TypeAlias = Succeeded[T] | Failed | Pending | Unknown | NotFound
Reported: TypeAlias = Succeeded[Any] | Failed | Pending | Unknown | NotFound | NotSentYet
