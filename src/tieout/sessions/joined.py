"""A transaction that the user has opened, and will end, as a `Transaction` of tieout's."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database.mysql_text import WAS_THERE
from tieout.database.query import Compiled, compiled
from tieout.database.rows import row_kind
from tieout.errors import DatabaseError, DatabaseUnavailable, StatementError
from tieout.sessions.values import bound

T = TypeVar("T")

log = logging.getLogger("tieout.sessions")


class Ran(NamedTuple):
    """What a statement came to: its rows, and how many rows it matched."""

    rows: Sequence[Row]
    matched: int


class Joined(ABC):
    """What the libraries share. It neither begins nor ends the transaction; `user` is what the user gave.

    Whatever a library raises for a statement becomes an error of `tieout.errors`.
    """

    dialect: str = ""
    blocking: ClassVar[bool]

    def __init__(self, user: Any) -> None:
        self.user = user
        self.error: DatabaseError | None = None

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        return (await self._ran(sql, params, fetch=False)).matched

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        self.check()
        statement = self.compile(sql)
        args = [bound(statement, row) for row in rows]
        if args:
            await self._tried(self.run_many(statement, args), statement)

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        return (await self._ran(sql, params, fetch=True)).rows

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        rows = (await self._ran(sql, params, fetch=True)).rows
        return rows[0] if rows else None

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self.check()
        mark = await self._tried(self.set_savepoint())
        try:
            result = await work(self)
            self.check()
            await self._tried(self.release_savepoint(mark))
        except BaseException as error:
            # Of an interrupted statement nobody knows whether it runs still: all is left to whoever rolls back.
            if self.blocking or isinstance(error, Exception) or self.error is None:
                await self._undo(mark)
            raise
        return result

    def check(self) -> None:
        """Raise what a statement raised that no savepoint has undone."""
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Refuse every later statement: the transaction is over."""
        self.error = StatementError("this transaction has ended: use tx only inside the work that it was given to")

    def after_commit(self, call: Callable[[], object]) -> bool:
        """Let `call` be called once this transaction is committed, in whichever thread; False when that cannot be."""
        return False

    def translated(self, error: Exception) -> Exception:
        """The error as tieout's, if it is one of the library's; else the error itself."""
        return error

    async def flush(self) -> None:  # noqa: B027 - most libraries keep nothing back
        """Send what the library has kept back so far."""

    @abstractmethod
    async def check_open(self) -> None:
        """Raise `UsageError` unless a transaction is open, so that what is written waits for the user's commit."""

    @abstractmethod
    async def run(self, statement: Compiled, args: Sequence[Any], *, fetch: bool) -> Ran:
        """Run a statement, whose rows are wanted or only their number; raise what the library raises."""

    @abstractmethod
    async def run_many(self, statement: Compiled, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""

    @abstractmethod
    async def set_savepoint(self) -> Any:
        """Set a savepoint; return what names it to the two below."""

    @abstractmethod
    async def release_savepoint(self, mark: Any) -> None: ...

    @abstractmethod
    async def undo_savepoint(self, mark: Any) -> None: ...

    @abstractmethod
    def failure(self, error: Exception, doing: str, text: str = "") -> DatabaseError:
        """The error to raise for what the library raised while it ran the statement `text`."""

    def compile(self, sql: str | Statement) -> Compiled:
        """The statement with the placeholders that the driver takes."""
        return compiled(sql, self.dialect)

    async def _ran(self, sql: str | Statement, params: Mapping[str, Param], *, fetch: bool) -> Ran:
        self.check()
        statement = self.compile(sql)
        args = bound(statement, params)
        return await self._tried(self.run(statement, args, fetch=fetch), statement)

    async def _tried(self, doing: Awaitable[T], statement: Compiled | None = None) -> T:
        try:
            return await doing
        except Exception as error:  # noqa: BLE001 - it is raised, translated
            self._failed(error, statement)
        except BaseException:
            self.error = DatabaseUnavailable("a statement of this transaction was interrupted")
            raise

    async def _undo(self, mark: Any) -> None:
        try:
            await self.undo_savepoint(mark)
        except Exception as error:  # noqa: BLE001 - what brought us here is raised; all later statements are refused
            self.error = self.error or self.failure(error, "ROLLBACK TO SAVEPOINT")
        else:
            self.error = None

    def _failed(self, error: Exception, statement: Compiled | None) -> NoReturn:
        name, text = (statement.name, statement.text) if statement else ("savepoint", "")
        self.error = error if isinstance(error, DatabaseError) else self.failure(error, name, text)
        raise self.error from error


def tell(calls: Iterable[Callable[[], object]]) -> None:
    """Call them after a commit. What one raises is not whoever's commit it was: the sweep finds what it was about."""
    for call in calls:
        try:
            call()
        except Exception:
            log.exception("after a commit: what has joined it is left to the sweep")


def of_rows(names: Iterable[str], rows: Iterable[Sequence[Any]]) -> Ran:
    """The result of a statement that returns rows."""
    kind = row_kind(tuple(names))
    found = [kind(map(_plain, row)) for row in rows]
    return Ran(found, len(found))


def of_write(dialect: str, matched: int, last_id: int | None) -> Ran:
    """The result of a statement that returns none; on MySQL a write returns what it handed to LAST_INSERT_ID."""
    if dialect == "mysql" and last_id == WAS_THERE:
        return Ran((), 0)
    if dialect == "mysql" and last_id and matched > 0:
        return Ran([row_kind(("last_insert_id",))((last_id,))], matched)
    return Ran((), max(matched, 0))


def _plain(value: Any) -> Any:
    return bytes(value) if type(value) is memoryview else value
