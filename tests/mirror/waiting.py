"""Waiting for what a mirror does behind the scenes."""

from __future__ import annotations

import asyncio
import inspect

PATIENCE = 60.0
"""Seconds: far longer than anything takes, also on a busy machine."""

TRUE = object()


async def until(look, wanted=TRUE):
    """Look until there is what is wanted, or anything true, and return it; say what there was instead."""
    seen = None
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = look()
                seen = await seen if inspect.isawaitable(seen) else seen
                if seen == wanted or (wanted is TRUE and seen):
                    return seen
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"wanted {wanted!r}, and there is {seen!r}") from None
