"""Transactions that stay open while their work awaits something else, on a database that allows none.

SQLite runs a transaction to its end in its writer's thread, so that many share a commit. A web framework's route awaits
many things that are not its transaction. Here the writer waits for the route's statements, one by one; meanwhile nobody
else writes, so there is a limit. A server's database needs nothing of this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from tieout.contracts import Database, Param, Row, Statement, Transaction
from tieout.errors import Overloaded, StatementError

T = TypeVar("T")

HELD_SECONDS = 5.0
"""How long one route may keep the writer: nobody else writes meanwhile."""

Kind: TypeAlias = Literal["statement", "savepoint", "release", "undo", "commit"]
Run: TypeAlias = Callable[[Transaction], Awaitable[Any]]


class Command(NamedTuple):
    """What the route wants next of its transaction, and where the answer goes, if anybody waits for it."""

    kind: Kind
    run: Run
    answer: asyncio.Future[Any] | None


class UnwindError(Exception):
    """Raised in the writer's thread: roll back."""


class HeldTransaction:
    """A transaction as the route sees it: each statement goes to the writer's thread, and its result comes back."""

    def __init__(self, dialect: str, seconds: float) -> None:
        self.dialect = dialect
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._open: set[asyncio.Future[Any]] = set()
        self._over: BaseException | None = None
        self.begun = self._future()

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        rows: int = await self._ask("statement", lambda tx: tx.execute(sql, **params))
        return rows

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        await self._ask("statement", lambda tx: tx.execute_many(sql, rows))

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        rows: Sequence[Row] = await self._ask("statement", lambda tx: tx.fetch(sql, **params))
        return rows

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        row: Row | None = await self._ask("statement", lambda tx: tx.fetch_one(sql, **params))
        return row

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        await self._ask("savepoint")
        try:
            result = await work(self)
        except BaseException:
            await self._ask("undo")
            raise
        await self._ask("release")
        return result

    def leave(self, kind: Literal["commit", "undo"]) -> None:
        """End the transaction so; the writer's thread goes on."""
        self._commands.put(Command(kind, _nothing, None))

    def ended(self, serving: asyncio.Future[None]) -> None:
        """Refuse what nobody serves any more."""
        error = None if serving.cancelled() else serving.exception()
        self._over = error or StatementError("this transaction has ended: use tx only inside the route's own work")
        for answer in self._open:
            _settle(answer, None, self._over)

    async def serve(self, tx: Transaction) -> None:
        """Do what the route wants, in the writer's thread; never suspends."""
        self._reply(self.begun)
        closing = await self._serve(tx, time.monotonic() + self._seconds)
        if closing.kind == "undo":
            raise UnwindError

    async def _serve(self, tx: Transaction, ends: float) -> Command:
        """Serve until the transaction or its innermost savepoint is closed; return what closed it."""
        while True:
            command = self._following(ends)
            if command.kind == "statement":
                await self._run(command, tx)
            elif command.kind == "savepoint":
                await self._nest(command, tx, ends)
            else:
                return command

    async def _nest(self, command: Command, tx: Transaction, ends: float) -> None:
        closing: list[Command] = []

        async def inner(tx: Transaction) -> None:
            self._reply(command.answer)
            closing.append(await self._serve(tx, ends))
            if closing[0].kind != "release":
                raise UnwindError

        error: Exception | None = None
        try:
            await tx.savepoint(inner)
        except UnwindError:
            pass
        except Exception as raised:
            if not closing:
                raise
            error = raised
        if closing[0].answer is None:  # the whole transaction is left
            raise UnwindError
        self._reply(closing[0].answer, error=error)

    async def _run(self, command: Command, tx: Transaction) -> None:
        try:
            result = await command.run(tx)
        except Exception as error:  # noqa: BLE001 - it is the route's
            self._reply(command.answer, error=error)
        else:
            self._reply(command.answer, result)

    def _following(self, ends: float) -> Command:
        try:
            return self._commands.get(timeout=max(0.0, ends - time.monotonic()))
        except Empty:
            why = f"a route kept the only writer for {self._seconds:g} s: does it use the database outside its tx?"
            raise Overloaded(why) from None

    def _reply(
        self, answer: asyncio.Future[Any] | None, result: Any = None, error: BaseException | None = None
    ) -> None:
        if answer is not None:
            self._loop.call_soon_threadsafe(_settle, answer, result, error)

    def _future(self) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._open.add(answer)
        answer.add_done_callback(self._open.discard)
        return answer

    async def _ask(self, kind: Kind, run: Run | None = None) -> Any:
        if self._over is not None:
            raise self._over
        answer = self._future()
        self._commands.put(Command(kind, run or _nothing, answer))
        return await answer


class HeldDatabase:
    """The transactions of a database, each of which may stay open while its work awaits anything, up to a limit."""

    def __init__(self, database: Database, seconds: float = HELD_SECONDS) -> None:
        self._database = database
        self._seconds = seconds

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As `Database.read`."""
        return await self._database.read(work)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As `Database.transact`; raise `Overloaded` when it takes too long."""
        held = HeldTransaction(self._database.dialect, self._seconds)
        serving = asyncio.ensure_future(self._database.transact(held.serve))
        serving.add_done_callback(held.ended)
        try:
            await held.begun
            result = await work(held)
        except BaseException as error:
            held.leave("undo")
            if isinstance(error, Exception):
                await asyncio.wait([serving])
            raise
        held.leave("commit")
        await serving
        return result


async def _nothing(_: Transaction) -> None:
    """Nothing is to be run."""


def _settle(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
        answer.exception()  # whoever asked may have been cancelled: then nobody need hear of it
