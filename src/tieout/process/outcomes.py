"""What a call step may answer, and what it is given to send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from tieout.errors import UsageError

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


Recaller: TypeAlias = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def _no_recall(_: str, __: Callable[[], Awaitable[Any]]) -> Any:
    raise UsageError("recall works in the call steps of a running App")


class Sending(msgspec.Struct, frozen=True):
    """One try of a call: the idempotency `key` to send, the time-out in seconds, and the number of this try."""

    key: str
    timeout: float
    attempt: int
    recaller: Recaller = _no_recall

    async def recall(self, name: str, look_up: Callable[[], Awaitable[T]]) -> T:
        """What `look_up` answered when it was first asked for under this name in this process.

        It is committed before it is used, so that every try decides and sends the same. The value is plain JSON
        values: what was looked up is converted on the first try too. Costs one commit, once.
        """
        return cast("T", await self.recaller(name, look_up))


Answer: TypeAlias = Succeeded[T] | Failed | Pending | Unknown
Found: TypeAlias = Succeeded[T] | Failed | Pending | Unknown | NotFound
Reported: TypeAlias = Succeeded[Any] | Failed | Pending | Unknown | NotFound | NotSentYet
