"""A model of a database at READ COMMITTED: what interleaving transactions can see, overwrite and wait for.

Statements are Python functions, found by the statement's name. Each sees what was committed before it began and what
its own transaction wrote; it runs without a break, but when it meets a row that another open transaction has changed
it waits for that one's end and then begins anew, on the row as it is then. A row that its `WHERE` does not match as
committed is not waited for. A circle of waiting transactions is a deadlock.

The conformance suite of the stores runs on this and on the real databases.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, RetryTransaction, StatementError

Fate = Literal["done", "retry", "lost-done", "lost-undone", "lost-later"]
"""What becomes of a COMMIT: done, refused as a whole, or its answer is lost and it was, was not, or will be done."""

EPOCH = 1_700_000_000_000_000
"""The server's time when a schedule begins."""

Values = dict[str, Any]


class Slot:
    """One key of a table: what is committed there, and what one open transaction has made of it."""

    __slots__ = ("committed", "key", "pending", "writer")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.committed: Values | None = None
        self.pending: Values | None = None
        self.writer: ModelTransaction | None = None


Table = dict[Any, Slot]
Result = int | list[tuple[Any, ...]]
StatementFunction = Callable[["ModelTransaction", int, Mapping[str, Any]], Result]


class BlockedError(Exception):
    """A statement has met a row that `holder` has changed and not yet committed."""

    def __init__(self, holder: ModelTransaction) -> None:
        self.holder = holder


class Parking(Protocol):
    """How a task waits: it takes a ticket, parks, and is woken by it."""

    def ticket(self) -> Any: ...
    async def park(self) -> Any: ...
    def wake(self, ticket: Any, value: Any = None) -> None: ...


class Weather(Protocol):
    """What may happen around a statement or a commit: delays, crashes, errors to raise."""

    async def beginning(self, tx: ModelTransaction) -> None: ...
    async def stating(self, tx: ModelTransaction, name: str) -> None: ...
    async def stated(self, tx: ModelTransaction, name: str) -> None: ...
    async def committing(self, tx: ModelTransaction) -> Fate: ...
    async def committed(self, tx: ModelTransaction) -> None: ...
    def saw(self, what: str) -> None: ...
    def later(self, action: Callable[[], None]) -> None: ...


class FairWeather:
    """Nothing happens."""

    async def beginning(self, tx: ModelTransaction) -> None:
        return None

    async def stating(self, tx: ModelTransaction, name: str) -> None:
        return None

    async def stated(self, tx: ModelTransaction, name: str) -> None:
        return None

    async def committing(self, tx: ModelTransaction) -> Fate:
        return "done"

    async def committed(self, tx: ModelTransaction) -> None:
        return None

    def saw(self, what: str) -> None:
        return None

    def later(self, action: Callable[[], None]) -> None:
        action()


class ModelTransaction:
    """An open transaction, run by `owner`. `moment` is when its latest statement came, in virtual time.

    `granted` are the leases that it gives when it commits: the process, and until when.
    """

    __slots__ = (
        *("_waiters", "database", "dialect", "failure", "granted", "moment", "owner", "reading", "waits_for"),
        "writes",
    )

    def __init__(self, database: ModelDatabase, owner: Any, *, reading: bool) -> None:
        self.database = database
        self.dialect = database.dialect
        self.owner = owner
        self.reading = reading
        self.moment = database.time()
        self.failure: DatabaseError | None = None
        self.granted: list[tuple[bytes, int]] = []
        self.waits_for: ModelTransaction | None = None
        self.writes: list[tuple[str, Slot, Values | None, bool]] = []
        self._waiters: list[Any] = []

    async def execute(self, sql: Any, /, **params: Any) -> int:
        """Run the statement of this name; return the number of rows matched."""
        result = await self._run(sql, params)
        return result if isinstance(result, int) else len(result)

    async def execute_many(self, sql: Any, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Run it once for each row of parameters."""
        for row in rows:
            await self._run(sql, row)

    async def fetch(self, sql: Any, /, **params: Any) -> Sequence[Any]:
        """All rows of the result."""
        result = await self._run(sql, params)
        return result if isinstance(result, list) else []

    async def fetch_one(self, sql: Any, /, **params: Any) -> Any:
        """The first row, or None."""
        rows = await self.fetch(sql, **params)
        return rows[0] if rows else None

    async def savepoint(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run `work`; when it raises, its writes alone are undone."""
        mark = len(self.writes)
        try:
            return await work(self)
        except Exception:
            self._undo(mark)
            self._let_go()
            raise

    def see(self, table: str, key: Any) -> Values | None:
        """The row as this transaction sees it, or None."""
        slot = self.database.tables[table].get(key)
        if slot is None:
            return None
        return slot.pending if slot.writer is self else slot.committed

    def seen(self, table: str) -> Iterator[tuple[Any, Values]]:
        """Every row of a table as this transaction sees it."""
        for slot in self.database.tables[table].values():
            values = slot.pending if slot.writer is self else slot.committed
            if values is not None:
                yield slot.key, values

    def is_locked(self, table: str, key: Any) -> bool:
        """Whether another open transaction has changed the row."""
        slot = self.database.tables[table].get(key)
        return slot is not None and slot.writer is not None and slot.writer is not self

    def write(self, table: str, key: Any, values: Values | None) -> None:
        """Put a row in place of the one there, or delete it; raise `BlockedError` while it is another's."""
        slots = self.database.tables[table]
        slot = slots.get(key)
        if slot is None:
            slot = slots[key] = Slot(key)
        mine = slot.writer is self
        if not mine and slot.writer is not None:
            raise BlockedError(slot.writer)
        if self.reading:
            raise StatementError("a write, inside a read")
        self.writes.append((table, slot, slot.pending, mine))
        slot.writer, slot.pending = self, values

    def wait_out(self, table: str, key: Any) -> None:
        """Raise `BlockedError` while another transaction has written this key: whether it is taken is open."""
        slot = self.database.tables[table].get(key)
        if slot is not None and slot.writer is not None and slot.writer is not self:
            raise BlockedError(slot.writer)

    def end(self, *, keep: bool) -> None:
        """Make its writes visible to all, or undo them; let everybody go on who waits for it."""
        if keep:
            self._publish()
        else:
            self._undo(0)
        self.database.open.pop(self, None)
        self.failure = self.failure or StatementError("this transaction has ended")
        self._let_go()

    def cut(self) -> None:
        """The server rolls it back, and whoever runs it learns so at its next statement."""
        self.failure = self.failure or DatabaseUnavailable("the connection was lost")
        self.end(keep=False)

    async def _run(self, sql: Any, params: Mapping[str, Any]) -> Result:
        database, name = self.database, sql.name
        await database.weather.stating(self, name)
        self.check()
        self.moment = database.time()
        now = self.moment + database.ahead
        function = database.statements.get(name)
        if function is None:
            raise NotImplementedError(f"the model has no statement {name}: add it to the model's statements")
        while True:
            try:
                result = function(self, now, params)
                break
            except BlockedError as blocked:
                await self._wait_for(blocked.holder)
        await database.weather.stated(self, name)
        return result

    async def _wait_for(self, holder: ModelTransaction) -> None:
        database = self.database
        database.weather.saw("blocked writer")
        other: ModelTransaction | None = holder
        while other is not None:
            if other is self:
                database.weather.saw("deadlock")
                self.failure = RetryTransaction("deadlock", "40P01")
                self.end(keep=False)
                raise self.failure
            other = other.waits_for
        self.waits_for = holder
        holder._waiters.append(database.parking.ticket())
        await database.parking.park()
        self.waits_for = None
        self.check()

    def check(self) -> None:
        """Raise unless every statement succeeded."""
        if self.failure is not None:
            raise self.failure

    def grant(self, process: bytes, duration: int | None) -> None:
        """Note the lease that the current statement gives."""
        if duration is not None:
            self.granted.append((process, self.moment + duration))

    def _let_go(self) -> None:
        waiters, self._waiters = self._waiters, []
        for ticket in waiters:
            self.database.parking.wake(ticket)

    def _publish(self) -> None:
        for table, slot, _, _ in self.writes:
            if slot.writer is self:
                before, slot.committed = slot.committed, slot.pending
                slot.writer = slot.pending = None
                self.database.changed(self, table, before, slot.committed)

    def _undo(self, mark: int) -> None:
        while len(self.writes) > mark:
            _, slot, pending, mine = self.writes.pop()
            slot.pending = pending
            slot.writer = self if mine else None


class ModelDatabase:
    """Tables, the transactions that are open on them, and the statements that are known, of one dialect.

    The server's clock goes `ahead` of `time`, both in microseconds.
    """

    def __init__(
        self,
        parking: Parking,
        time: Callable[[], int],
        statements: Mapping[str, StatementFunction],
        tables: Iterable[str],
        weather: Weather | None = None,
        dialect: str = "postgres",
    ) -> None:
        self.dialect = dialect
        self.parking = parking
        self.time = time
        self.ahead = EPOCH
        self.statements = statements
        self.weather: Weather = weather or FairWeather()
        self.tables: dict[str, Table] = {name: {} for name in tables}
        self.open: dict[ModelTransaction, None] = {}
        self.owner: Callable[[], Any] = lambda: None
        self.changed: Callable[[ModelTransaction, str, Values | None, Values | None], None] = _unwatched

    async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run `work` in one transaction and return its result once that is committed."""
        tx = await self._begin(reading=False)
        try:
            result = await work(tx)
            tx.check()
        except Exception:
            tx.end(keep=False)
            raise
        await self._commit(tx)
        return result

    async def read(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run `work` in one read-only transaction."""
        tx = await self._begin(reading=True)
        try:
            return await work(tx)
        finally:
            tx.end(keep=False)

    def abandon(self, owner: Any) -> None:
        """Roll back what a dead owner left open."""
        for tx in [tx for tx in self.open if tx.owner is owner]:
            tx.cut()

    def committed(self, table: str) -> list[Values]:
        """The committed rows of a table, for those who look on."""
        return [slot.committed for slot in self.tables[table].values() if slot.committed is not None]

    def put(self, table: str, key: Any, values: Values) -> None:
        """Commit one row, outside any transaction."""
        slot = self.tables[table].setdefault(key, Slot(key))
        slot.committed = values

    async def _begin(self, *, reading: bool) -> ModelTransaction:
        tx = ModelTransaction(self, self.owner(), reading=reading)
        await self.weather.beginning(tx)
        self.open[tx] = None
        return tx

    async def _commit(self, tx: ModelTransaction) -> None:
        fate = await self.weather.committing(tx)
        if tx not in self.open:
            raise CommitUnknown("the connection was lost at COMMIT")
        match fate:
            case "done":
                tx.end(keep=True)
                await self.weather.committed(tx)
            case "retry":
                tx.end(keep=False)
                raise RetryTransaction("refused at COMMIT", "40001")
            case "lost-later":
                self.weather.later(lambda: self._land(tx))
                raise CommitUnknown("no answer to COMMIT")
            case _:
                tx.end(keep=fate == "lost-done")
                raise CommitUnknown("no answer to COMMIT")

    def _land(self, tx: ModelTransaction) -> None:
        if tx in self.open:
            tx.end(keep=True)


def _unwatched(tx: ModelTransaction, table: str, before: Values | None, after: Values | None) -> None:
    return None
