"""What a check found: its stable name, how it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, TypeAlias

import msgspec

from tieout.app import App
from tieout.errors import DatabaseError

Level: TypeAlias = Literal["ok", "note", "wrong"]
"""`wrong` may lose data or stall, or waits for a person; `note` is for you to know."""


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one check. `mend` is what to do, empty when there is nothing to do."""

    name: str
    level: Level
    found: str
    mend: str = ""


Check: TypeAlias = Callable[[App], Awaitable[Finding]]


async def examine(app: App, checks: Iterable[Check]) -> list[Finding]:
    """Run the checks in turn; one that the database refuses is itself a finding, under the check's name."""
    return [await _examined(app, check) for check in checks]


async def _examined(app: App, check: Check) -> Finding:
    try:
        return await check(app)
    except DatabaseError as error:
        name = getattr(check, "__name__", "check").replace("_", "-")
        return Finding(name, "wrong", f"[{error.code}] {error}", "this check could not be made: see the error")
