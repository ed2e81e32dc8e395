"""One SQLite connection: how it is opened, and the transaction that work is given on it."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import CoroutineType, NoneType
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from tieout.contracts import Param, Row, Statement, Transaction
from tieout.database.query import NOW, Compiled, compiled
from tieout.database.sqlite_errors import FAULTS, from_sqlite, missing_table
from tieout.database.sqlite_files import write_anew
from tieout.errors import AwaitInTransaction, ConfigError, DatabaseError, DatabaseReadOnly, StatementError

T = TypeVar("T")

Hook = Callable[[str], None]
"""Told what comes next ("statement:NAME", "commit") and what has been done ("committed"); may raise."""

CACHED_STATEMENTS = 512
"""Prepared statements kept by each connection: all of tieout's and a service's own."""

LOG_BYTES = 67_108_864
"""What the log is cut back to when a bulk or a long stream has made it grow."""

BUSY_SECONDS = 10.0
"""How long a batch waits for another process that writes to the same file."""

BUSY_STEP_SECONDS = 0.001
"""How often it asks meanwhile."""

_AS_IT_IS = frozenset({int, str})
_BINDABLE = frozenset({NoneType, bool, int, str, bytes})
_COMMIT_MODES = {"wal", "memory"}


class Session:
    """An open connection with tieout's settings, and its clock (microseconds). Used by one thread at a time."""

    def __init__(self, path: Path | None, clock: Callable[[], int], *, reading: bool = False) -> None:
        self.reading = reading
        self.clock = clock
        self.connection = _connect(path)
        try:
            self._prepare(path, reading=reading)
        except BaseException:
            self.connection.close()
            raise
        self.cursor = self.connection.cursor()
        self.run = self.cursor.execute

    def _prepare(self, path: Path | None, *, reading: bool) -> None:
        run = self.connection.execute
        self.connection.row_factory = sqlite3.Row
        run(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1_000)}")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA temp_store = MEMORY")
        run("PRAGMA synchronous = FULL")
        if reading:
            run("PRAGMA query_only = ON")
            return
        mode = run("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode not in _COMMIT_MODES:
            raise ConfigError(
                f"{path} cannot be kept in WAL mode, only in mode {mode!r}: is it on a network file system?"
            )
        run(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        _refuse_read_only(self.connection)
        if path is not None:
            _write_log_anew(self.connection, path)
        run("PRAGMA busy_timeout = 0")  # from now on `begin` waits itself

    def begin(self) -> None:
        """Begin to write, waiting for another process that does.

        Our own waiting asks often and evenly: SQLite's asks ever more seldom, and starves beside a busy process.
        """
        ends = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self.run("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                    raise
                time.sleep(BUSY_STEP_SECONDS)
            else:
                return

    def close(self) -> None:
        self.connection.close()


def _connect(path: Path | None) -> sqlite3.Connection:
    target = ":memory:" if path is None else f"file:{quote(str(path))}?mode=rwc"
    return sqlite3.connect(
        target,
        uri=path is not None,
        isolation_level=None,  # we begin and end transactions ourselves
        check_same_thread=False,  # a stream's batches are fetched by whichever reader is free
        cached_statements=CACHED_STATEMENTS,
    )


def _refuse_read_only(connection: sqlite3.Connection) -> None:
    # On a file that may not be written, BEGIN IMMEDIATE alone would begin to read, and say nothing.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")
    finally:
        connection.execute("ROLLBACK")


def _write_log_anew(connection: sqlite3.Connection, path: Path) -> None:
    # Under the lock of writers: nobody else changes the log meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    try:
        write_anew(Path(f"{path}-wal"))
    finally:
        connection.execute("ROLLBACK")


class SqliteTransaction:
    """The transaction that work is given. Nothing in it suspends, so one `send(None)` runs work to its end."""

    __slots__ = ("_depth", "_execute", "_hook", "_reading", "_session", "error")

    dialect = "sqlite"

    def __init__(self, session: Session, hook: Hook | None = None, *, reading: bool = False) -> None:
        self._session = session
        self._reading = reading
        self._execute: Callable[..., sqlite3.Cursor] = session.run
        self._hook = hook
        self._depth = 0
        self.error: DatabaseError | None = None

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        try:
            cursor = self._run(sql, params)
            if (matched := cursor.rowcount) >= 0 and cursor.description is None:  # as of nearly all
                return matched
            return self._count(sql, cursor)
        except FAULTS as error:
            raise self._failed(sql, error) from error

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        self._check()
        many = self._session.cursor.executemany if self._execute is self._session.run else _ended
        statement = compiled(sql, "sqlite")
        if self._hook is not None:
            self._hook(f"statement:{statement.name}")
        if statement.takes_time:
            now = {NOW: self._session.clock()}
            rows = ({**row, **now} for row in rows)
        try:
            many(statement.text, (_bound(statement, row) for row in rows))
        except FAULTS as error:
            raise self._failed(sql, error) from error

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        try:
            return self._run(sql, params).fetchall()
        except FAULTS as error:
            raise self._failed(sql, error) from error

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        try:
            rows = self._run(sql, params).fetchall()
        except FAULTS as error:
            raise self._failed(sql, error) from error
        return rows[0] if rows else None

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check()
        self._depth += 1
        name = f"inner_{self._depth}"
        self._execute(f"SAVEPOINT {name}")
        try:
            result = await work(self)
            self._check()
        except BaseException:
            self._undo(name)
            raise
        else:
            self._execute(f"RELEASE {name}")
            return result
        finally:
            self._depth -= 1

    def start(self, sql: str | Statement, params: dict[str, Param]) -> None:
        """Begin a result that `following` fetches bit by bit."""
        try:
            self._run(sql, params)
        except FAULTS as error:
            raise self._failed(sql, error) from error

    def following(self, most: int) -> Sequence[Row]:
        try:
            return self._session.cursor.fetchmany(most)
        except FAULTS as error:
            raise from_sqlite(error) from error

    def end(self) -> None:
        """Refuse every later statement: the transaction is over, and the next one belongs to somebody else."""
        self._execute = _ended

    def _undo(self, name: str) -> None:
        # Some errors make SQLite end the whole transaction: then there is nothing to go back to.
        if self._session.connection.in_transaction:
            self._execute(f"ROLLBACK TO {name}")
            self._execute(f"RELEASE {name}")
            self.error = None

    def _run(self, sql: str | Statement, params: dict[str, Param]) -> sqlite3.Cursor:
        if self.error is not None:  # not through _check: this is the hot path
            raise self.error
        statement = sql if isinstance(sql, Compiled) else compiled(sql, "sqlite")
        if statement.takes_time:
            params[NOW] = self._session.clock()
        args: Sequence[Any] = statement.bind(params)
        if not _AS_IT_IS.issuperset(map(type, args)):
            args = _fitting(args)
        if self._hook is not None:
            self._hook(f"statement:{statement.name}")
        return self._execute(statement.text, args)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def _count(self, sql: str | Statement, cursor: sqlite3.Cursor) -> int:
        if cursor.description is not None:
            return len(cursor.fetchall())
        if compiled(sql, "sqlite").text[:4].upper() != "WITH":
            return 0
        # The driver counts no rows for WITH … UPDATE.
        changed: int = self._execute("SELECT changes()").fetchone()[0]
        return changed

    def _failed(self, sql: str | Statement, error: Exception) -> DatabaseError:
        statement = compiled(sql, "sqlite")
        failure = missing_table(self._session.connection, statement) or from_sqlite(error, statement.name)
        if self._reading and isinstance(failure, DatabaseReadOnly):
            failure = StatementError(f"{statement.name} writes, inside a read")
        self.error = failure
        return failure


def _ended(*_: Any) -> NoReturn:
    raise StatementError("this transaction has ended: use tx only inside the work that it was given to")


def _bound(statement: Compiled, values: Mapping[str, Param]) -> Sequence[Any]:
    return _fitting(statement.bind(values))


def _fitting(values: Sequence[Any]) -> Sequence[Any]:
    """The values as the driver takes them; bytes as a bytearray, which it does not look for an adapter of."""
    kinds = tuple(map(type, values))
    fitting = list(values) if _BINDABLE.issuperset(kinds) else [_bindable(value) for value in values]
    for at in _places_of_bytes(kinds):
        fitting[at] = bytearray(fitting[at])
    return fitting


@lru_cache(maxsize=CACHED_STATEMENTS)
def _places_of_bytes(kinds: tuple[type, ...]) -> tuple[int, ...]:
    return tuple(at for at, kind in enumerate(kinds) if kind is bytes)


def _bindable(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            raise StatementError("NaN cannot be stored: SQLite would make it NULL")
        return value
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    raise StatementError(f"a {type(value).__name__} cannot be bound to a statement")


def drive(work: Callable[[Any], Awaitable[T]], tx: SqliteTransaction) -> T:
    """Run `work(tx)` to its end at once; raise `AwaitInTransaction` if it awaits anything but its transaction."""
    running: Any = work(tx)
    steps = running if type(running) is CoroutineType else running.__await__()
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    error = AwaitInTransaction("a transaction may await nothing but its tx: look things up before it begins")
    try:
        steps.throw(error)
        steps.close()
    except StopIteration:
        pass
    raise error


def read(session: Session, work: Callable[[Transaction], Awaitable[T]], hook: Hook | None = None) -> T:
    """Run `work` in a transaction that sees one snapshot and cannot write."""
    if not session.reading:
        session.run("PRAGMA query_only = ON")
    tx = SqliteTransaction(session, hook, reading=True)
    try:
        session.run("BEGIN")
        result = drive(work, tx)
        if tx.error is not None:
            raise tx.error
        return result
    finally:
        tx.end()
        if session.connection.in_transaction:
            session.run("ROLLBACK")
        if not session.reading:
            session.run("PRAGMA query_only = OFF")
