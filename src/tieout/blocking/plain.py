"""tieout's own coroutines as plain functions: what the steps and callers of the blocking colour are given."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Generic, TypeVar, cast

from tieout import contracts
from tieout.contracts import Param, Row, Statement
from tieout.database.driving import drive, drive_each
from tieout.messages import Inbox, Outbox
from tieout.once import Absent, Answered, HttpAnswer, HttpRules, InFlight
from tieout.once import HttpOnce as NativeHttpOnce
from tieout.once.define import Once as AsyncOnce
from tieout.process.sending import Sending

T = TypeVar("T")


class Transaction:
    """An open transaction, whose statements see the writes before them; as `tieout.Transaction`, without `await`."""

    def __init__(self, native: contracts.Transaction) -> None:
        self.native = native

    @property
    def dialect(self) -> str:
        return self.native.dialect

    def execute(self, sql: str | Statement, /, **params: Param) -> int:
        """Run it; return the number of rows matched."""
        return _now(self.native.execute(sql, **params))

    def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        """Run it once for each row of parameters, in as few exchanges as the driver can."""
        _now(self.native.execute_many(sql, rows))

    def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        """All rows of the result; a `RETURNING` counts."""
        return _now(self.native.fetch(sql, **params))

    def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        """The first row, or None."""
        return _now(self.native.fetch_one(sql, **params))

    def savepoint(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` inside a savepoint: when it raises, its writes alone are undone and the error goes on."""
        return _now(self.native.savepoint(given_plainly(work)))


class Database:
    """Transactions of the user's own, in the App's database; as `tieout.Database`, without `await`."""

    def __init__(self, native: contracts.Database) -> None:
        self.native = native

    @property
    def dialect(self) -> str:
        return self.native.dialect

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction and return its result once that is durably committed.

        When `work` raises, all is rolled back and the error goes on. `CommitUnknown` means that it may have been
        committed. On SQLite `work` runs in the thread that writes, for everybody: let it be short.
        """
        return _now(self.native.transact(given_plainly(work)))

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one read-only transaction, which sees all that was acknowledged before it began."""
        return _now(self.native.read(given_plainly(work)))

    def stream(self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param) -> Iterator[Sequence[Row]]:
        """The result in batches of at most `batch` rows, from one consistent snapshot, in bounded memory."""
        return drive_each(self.native.stream(sql, batch=batch, **params))


class Once(Generic[T]):
    """A handler whose effect happens once for each key of an owner, and whose answer is given again."""

    def __init__(self, native: AsyncOnce[T]) -> None:
        self.native = native

    def run(self, key: str, /, *, owner: str = "", wait: float | str | None = None, **params: Any) -> Answered[T]:
        """The answer to this key: of the handler, run now, or of the first time; as `tieout.Once.run`."""
        return drive(self.native.run(key, owner=owner, wait=wait, **params))

    def find(self, key: str, /, *, owner: str = "") -> Answered[T] | InFlight | Absent:
        """What became of a key, for whoever lost the answer; as `tieout.Once.find`."""
        return drive(self.native.find(key, owner=owner))


class HttpOnce:
    """Answers to HTTP requests, one for each key: what `tieout.once.wsgi.IdempotencyMiddleware` answers from."""

    def __init__(self, native: NativeHttpOnce) -> None:
        self.native = native

    @property
    def rules(self) -> HttpRules:
        return self.native.rules

    def find(self, key: str, /, *, owner: str = "") -> Answered[HttpAnswer] | InFlight | Absent:
        """What became of a key: what a GET by key answers; as `tieout.HttpOnce.find`."""
        return drive(self.native.find(key, owner=owner))


class PlainInbox:
    """Takes each message in once: a redelivered one causes nothing."""

    def __init__(self, native: Inbox) -> None:
        self.native = native

    def once(self, tx: Transaction, source: str, message_id: str) -> bool:
        """True for the first delivery of this message, False for every other one: then do nothing and acknowledge."""
        return drive(self.native.once(tx.native, source, message_id))


class PlainOutbox:
    """Takes messages in with the transaction that they belong to; a `tieout.App` with channels sends them."""

    def __init__(self, native: Outbox) -> None:
        self.native = native

    def add(
        self, tx: Transaction, to: str, body: bytes, *, key: str = "", headers: Mapping[str, str] | None = None
    ) -> str:
        """Send `body` to `to`, written `channel/topic`, once `tx` is committed; as `tieout.App.outbox.add`."""
        return drive(self.native.add(tx.native, to, body, key=key, headers=headers))


class Plain:
    """Any of tieout's objects, whose coroutine functions are called without `await`."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._native, name)
        if not inspect.iscoroutinefunction(value):
            return value

        @wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            return drive(value(*args, **kwargs))

        return call


def recall(send: Sending, name: str, look_up: Callable[[], T]) -> T:
    """What `look_up` answered when it was first asked for under this name in this process; see `Sending.recall`."""

    async def answer() -> T:
        return look_up()

    return drive(send.recall(name, answer))


def given_plainly(work: Callable[[Transaction], T]) -> Callable[[contracts.Transaction], Awaitable[T]]:
    """Plain work as what a database runs."""

    async def run(tx: contracts.Transaction) -> T:
        return work(Transaction(tx))

    return run


async def run_plainly(tx: contracts.Transaction, step: Callable[[Any], Any]) -> Any:
    """Run a plain transaction step on a plain transaction."""
    return step(Transaction(tx))


def _now(running: Awaitable[T]) -> T:
    return drive(cast("Coroutine[Any, Any, T]", running))
