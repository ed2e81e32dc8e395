"""The points at which a process can be killed, counted as it comes past them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tieout.contracts import Database, Param, Row, Statement, Transaction

T = TypeVar("T")


class Points:
    """Counts points and keeps their names; at the one that is `deadly`, its process is gone.

    `tell` is given the name just before that, so that it is known where it was.
    """

    def __init__(self, deadly: int | None, tell: Callable[[dict[str, Any]], None]) -> None:
        self.deadly = deadly
        self.passed: list[str] = []
        self.counting = False
        self.tell = tell

    def at(self, name: str) -> None:
        """Come past a point."""
        if not self.counting:
            return
        self.passed.append(name)
        if len(self.passed) == self.deadly:
            self.tell({"killed_at": name})
            os.kill(os.getpid(), signal.SIGKILL)


class DeadlyTransaction:
    """A transaction with a point before and after each statement."""

    def __init__(self, inner: Transaction, points: Points) -> None:
        self.inner = inner
        self.points = points

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        return await self._pass(sql, self.inner.execute(sql, **params))

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        await self._pass(sql, self.inner.execute_many(sql, rows))

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        return await self._pass(sql, self.inner.fetch(sql, **params))

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        return await self._pass(sql, self.inner.fetch_one(sql, **params))

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self.inner.savepoint(lambda inner: work(DeadlyTransaction(inner, self.points)))

    async def _pass(self, sql: str | Statement, run: Awaitable[T]) -> T:
        name = named(sql)
        self.points.at(f"before {name}")
        result = await run
        self.points.at(f"after {name}")
        return result


class DeadlyDatabase:
    """A database whose statements and commits are points.

    Transactions run one after the other, so that the same story comes past the same points each time.
    """

    def __init__(self, inner: Database, points: Points) -> None:
        self.inner = inner
        self.points = points
        self._turn = asyncio.Lock()

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async def watched(inner: Transaction) -> T:
            result = await work(DeadlyTransaction(inner, self.points))
            self.points.at("before COMMIT")
            return result

        async with self._turn:
            result = await self.inner.transact(watched)
            self.points.at("after COMMIT")
            return result

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._turn:
            return await self.inner.read(lambda inner: work(DeadlyTransaction(inner, self.points)))


def named(sql: str | Statement) -> str:
    """What a statement is called, or how it begins."""
    return " ".join(sql.split()[:3]) if isinstance(sql, str) else sql.name
