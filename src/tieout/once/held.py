"""Transactions that stay open while their work does something else, on a database that allows none.

SQLite runs a transaction to its end in its writer's thread, so that many share a commit. A web framework's route does
many things that are not its transaction. Here the writer waits for the route's statements, one by one; meanwhile nobody
else writes, so there is a limit. A server's database needs nothing of this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent import futures
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from tieout.contracts import Database, Param, Row, Statement, Transaction
from tieout.errors import Overloaded, StatementError

T = TypeVar("T")

HELD_SECONDS = 5.0
"""How long one route may keep the writer: nobody else writes meanwhile."""

Kind: TypeAlias = Literal["statement", "savepoint", "release", "undo", "commit"]
Run: TypeAlias = Callable[[Transaction], Awaitable[Any]]
Answer: TypeAlias = asyncio.Future[Any] | futures.Future[Any]


class Command(NamedTuple):
    """What the route wants next of its transaction, and where the answer goes, if anybody waits for it."""

    kind: Kind
    run: Run
    answer: Answer | None


class UnwindError(Exception):
    """Raised in the writer's thread: roll back."""


class Waiting(Protocol):
    """How a route waits for the writer's thread."""

    def new_answer(self) -> Any: ...

    def begin(self, database: Any, work: Run) -> Any:
        """Let the writer begin a transaction with this work: the answer that comes when it has ended."""
        ...

    def settle(self, answer: Any, result: Any, error: BaseException | None) -> None:
        """Give an answer, from the writer's thread."""
        ...

    async def until(self, answer: Any) -> Any:
        """The answer, once it is there."""
        ...

    async def ended(self, answer: Any) -> None:
        """Wait for the answer, whatever it is."""
        ...


class LoopWaiting:
    """In an event loop, where the route's task is suspended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def new_answer(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def begin(self, database: Database, work: Run) -> asyncio.Future[Any]:
        return asyncio.ensure_future(database.transact(work))

    def settle(self, answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._loop.call_soon_threadsafe(_settle, answer, result, error)

    async def until(self, answer: asyncio.Future[Any]) -> Any:
        return await answer

    async def ended(self, answer: asyncio.Future[Any]) -> None:
        await asyncio.wait([answer])


class ThreadWaiting:
    """In a thread of the route's own, which blocks. The database is one that threads use."""

    def new_answer(self) -> futures.Future[Any]:
        return futures.Future()

    def begin(self, database: Any, work: Run) -> futures.Future[Any]:
        ending: futures.Future[Any] = database.begin(work)
        return ending

    def settle(self, answer: futures.Future[Any], result: Any, error: BaseException | None) -> None:
        _settle(answer, result, error)

    async def until(self, answer: futures.Future[Any]) -> Any:
        return answer.result()

    async def ended(self, answer: futures.Future[Any]) -> None:
        futures.wait([answer])


class HeldTransaction:
    """A transaction as the route sees it: each statement goes to the writer's thread, and its result comes back."""

    def __init__(self, dialect: str, seconds: float, waiting: Waiting) -> None:
        self.dialect = dialect
        self._waiting = waiting
        self._seconds = seconds
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._lock = Lock()
        self._open: set[Answer] = set()
        self._over: BaseException | None = None
        self.begun = self._new_answer()

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

    def ended(self, serving: Answer) -> None:
        """Refuse what nobody serves any more."""
        error = None if serving.cancelled() else serving.exception()
        with self._lock:
            self._over = error or StatementError("this transaction has ended: use tx only inside the route's own work")
            left = list(self._open)
        for answer in left:
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

    def _reply(self, answer: Answer | None, result: Any = None, error: BaseException | None = None) -> None:
        if answer is not None:
            self._waiting.settle(answer, result, error)

    def _new_answer(self) -> Answer:
        """An answer that comes in any case; raise why none can come any more."""
        answer: Answer = self._waiting.new_answer()
        with self._lock:
            if self._over is not None:
                raise self._over
            self._open.add(answer)
        answer.add_done_callback(self._open.discard)
        return answer

    async def _ask(self, kind: Kind, run: Run | None = None) -> Any:
        answer = self._new_answer()
        self._commands.put(Command(kind, run or _nothing, answer))
        return await self._waiting.until(answer)


class HeldDatabase:
    """The transactions of a database, each of which may stay open while its work does anything, up to a limit."""

    def __init__(
        self, database: Database, seconds: float = HELD_SECONDS, waiting: Callable[[], Waiting] = LoopWaiting
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._waiting = waiting

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As `Database.read`."""
        return await self._database.read(work)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As `Database.transact`; raise `Overloaded` when it takes too long."""
        waiting = self._waiting()
        held = HeldTransaction(self._database.dialect, self._seconds, waiting)
        serving = waiting.begin(self._database, held.serve)
        serving.add_done_callback(held.ended)
        try:
            await waiting.until(held.begun)
            result = await work(held)
        except BaseException as error:
            held.leave("undo")
            if isinstance(error, Exception):
                await waiting.ended(serving)
            raise
        held.leave("commit")
        await waiting.until(serving)
        return result


async def _nothing(_: Transaction) -> None:
    """Nothing is to be run."""


def _settle(answer: Answer, result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
        answer.exception()  # whoever asked may have been cancelled: then nobody need hear of it
