"""What a call step is given for one try."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from tieout.errors import UsageError

T = TypeVar("T")

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
