"""Work in threads that is over before anybody goes on: nothing is closed beneath it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_its_end(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `work` returns, run in a thread. Whoever is cancelled meanwhile is so once it has ended."""
    task = asyncio.create_task(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait({task})
