"""Running coroutines that never suspend, without an event loop: the blocking colour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from tieout.errors import UsageError

T = TypeVar("T")


def drive(running: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end at once; raise `UsageError` if it awaits something that is not there yet."""
    try:
        running.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    error = UsageError("this needs an event loop: in the blocking colour nothing may be awaited but tieout's own")
    try:
        running.throw(error)
        running.close()
    except StopIteration:
        pass
    raise error


def drive_each(steps: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous generator that never suspends."""
    try:
        while True:
            try:
                item = drive(_following(steps))
            except StopAsyncIteration:
                return
            yield item
    finally:
        drive(steps.aclose())  # type: ignore[attr-defined] # it is a generator


async def _following(steps: AsyncIterator[T]) -> T:
    return await anext(steps)
