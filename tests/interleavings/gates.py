"""A database whose statements wait to be let through: each statement, COMMIT and ROLLBACK has a gate before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from tieout.contracts import Database, Param, Row, Statement, Transaction

T = TypeVar("T")

Kind = Literal["read", "write", "commit", "rollback"]
READ: Kind = "read"
COMMIT: Kind = "commit"


class Wish(NamedTuple):
    """What somebody at a gate wants to do."""

    kind: Kind
    what: str


class Actor:
    """One of those whose statements are interleaved: what it wants to do next, and what it came to.

    It stands at a gate while `wants` says for what. Otherwise it runs: in Python, or in the database, where it may
    wait for a lock.
    """

    def __init__(self, name: str, changed: asyncio.Event) -> None:
        self.name = name
        self.wants: Wish | None = None
        self._changed = changed
        self._open = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def start(self, work: Awaitable[Any]) -> None:
        """Let it run until its first gate."""
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(lambda _: self._changed.set())

    async def gate(self, wish: Wish) -> None:
        """Wait until it is this one's turn."""
        self.wants = wish
        self._open.clear()
        self._changed.set()
        await self._open.wait()

    def let_through(self) -> None:
        """Let it do what it wants."""
        self.wants = None
        self._open.set()

    @property
    def ended(self) -> bool:
        return self._task is not None and self._task.done()

    @property
    def runs(self) -> bool:
        """Whether it is neither at a gate nor at its end."""
        return self.wants is None and not self.ended

    @property
    def outcome(self) -> Any:
        """What it returned, or the exception that it raised."""
        assert self._task is not None
        return self._task.exception() or self._task.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class GatedTransaction:
    """A transaction whose statements pass its actor's gate."""

    def __init__(self, inner: Transaction, actor: Actor) -> None:
        self.inner = inner
        self.actor = actor
        self.wrote = False

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        await self._pass(sql)
        return await self.inner.execute(sql, **params)

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        await self._pass(sql)
        await self.inner.execute_many(sql, rows)

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        await self._pass(sql)
        return await self.inner.fetch(sql, **params)

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        await self._pass(sql)
        return await self.inner.fetch_one(sql, **params)

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async def gated(inner: Transaction) -> T:
            outer, self.inner = self.inner, inner
            try:
                return await work(self)
            finally:
                self.inner = outer

        return await self.inner.savepoint(gated)

    async def _pass(self, sql: str | Statement) -> None:
        text = sql if isinstance(sql, str) else sql.text
        writes = changes(text)
        self.wrote = self.wrote or writes
        what = " ".join(text.split()[:3]) if isinstance(sql, str) else sql.name
        await self.actor.gate(Wish("write" if writes else "read", what))


class GatedDatabase:
    """One actor's database; several share the connections of `inner`.

    The end of a transaction that has only read has no gate: it holds no lock and shows nothing to anybody, so when it
    comes makes no difference.
    """

    def __init__(self, inner: Database, actor: Actor) -> None:
        self.inner = inner
        self.actor = actor

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    async def open(self) -> None:
        """The connections are the owner's of `inner` to open."""

    async def close(self) -> None:
        """The connections are the owner's of `inner` to close."""

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async def gated(inner: Transaction) -> T:
            tx = GatedTransaction(inner, self.actor)
            try:
                result = await work(tx)
            except Exception:
                await self._end(tx, Wish("rollback", "ROLLBACK"))
                raise
            await self._end(tx, Wish("commit", "COMMIT"))
            return result

        return await self.inner.transact(gated)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self.inner.read(lambda inner: work(GatedTransaction(inner, self.actor)))

    async def _end(self, tx: GatedTransaction, wish: Wish) -> None:
        if tx.wrote:
            await self.actor.gate(wish)


def changes(sql: str) -> bool:
    """Whether a statement writes or locks."""
    text = sql.upper()
    return not text.lstrip().startswith(("SELECT", "WITH")) or "UPDATE" in text or "LOCK IN SHARE" in text
