"""What many want of the database at one time, in one transaction: who comes while one is under way shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

W = TypeVar("W")
R = TypeVar("R")

MOST = 100
"""Wishes of one transaction, unless it is said otherwise."""


class Together(Generic[W, R]):
    """Gives each wish what `work` brings for it; `work` is given many, and returns as many results in their order.

    What it raises is raised to all whose wishes it was given. A wish that nobody waits for any more is granted
    all the same.
    """

    def __init__(self, work: Callable[[Sequence[W]], Awaitable[Sequence[R]]], most: int = MOST) -> None:
        self._work = work
        self._most = most
        self._line: list[tuple[W, asyncio.Future[R]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, wish: W) -> R:
        """What becomes of a wish."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._line.append((wish, result))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        return await result

    async def _serve(self) -> None:
        some: list[tuple[W, asyncio.Future[R]]] = []
        try:
            while self._line:
                some, self._line = self._line[: self._most], self._line[self._most :]
                await self._grant(some)
        finally:
            self._serving = None
            for _, one in (*some, *self._line):
                one.cancel()
            self._line = []

    async def _grant(self, some: Sequence[tuple[W, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([wish for wish, _ in some])
        except Exception as error:  # noqa: BLE001 - it is raised to everyone who waits
            for _, one in some:
                if not one.done():
                    one.set_exception(error)
            return
        for (_, one), result in zip(some, results, strict=True):
            if not one.done():
                one.set_result(result)
