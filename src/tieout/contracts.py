"""What the nouns ask of the world: a database, a transaction, a clock, a channel.

Each contract has one conformance suite in `tieout.testing`, which every implementation passes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

T = TypeVar("T")

Lists: TypeAlias = Sequence[str] | Sequence[int] | Sequence[bytes] | Sequence[Sequence[str | None]]

Param: TypeAlias = bool | int | float | str | bytes | Lists | None
"""What may be bound to a statement. Lists are for statements of tieout's own that unnest them."""


class Row(Protocol):
    """One row of a result: by position, by column name, or unpacked in column order."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Iterable[str]: ...


class Statement(Protocol):
    """A named statement as one driver takes it: its text, and the order in which its parameters go."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def params(self) -> tuple[str, ...]: ...


class Transaction(Protocol):
    """An open transaction at READ COMMITTED or stricter, whose statements see the writes before them.

    `sql` is a string with `:name` parameters, or a compiled statement. Errors are those of `tieout.errors`; after
    one, only leaving the transaction is left to do, unless it came out of a `savepoint`.
    """

    @property
    def dialect(self) -> str: ...

    async def execute(self, sql: str | Statement, /, **params: Param) -> int:
        """Run it; return the number of rows matched."""
        ...

    async def execute_many(self, sql: str | Statement, rows: Iterable[Mapping[str, Param]], /) -> None:
        """Run it once for each row of parameters, in as few exchanges as the driver can."""
        ...

    async def fetch(self, sql: str | Statement, /, **params: Param) -> Sequence[Row]:
        """All rows of the result; a `RETURNING` counts."""
        ...

    async def fetch_one(self, sql: str | Statement, /, **params: Param) -> Row | None:
        """The first row, or None."""
        ...

    async def savepoint(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` inside a savepoint: when it raises, its writes alone are undone and the error goes on."""
        ...


class Database(Protocol):
    """Transactions as functions, so that a driver may run them where and with whom it likes."""

    @property
    def dialect(self) -> str: ...

    async def open(self) -> None:
        """Connect, check the server, and raise a `DatabaseError` or `ConfigError` that says what is wrong."""
        ...

    async def close(self) -> None:
        """Let running transactions end, within the driver's own limit, and give everything back."""
        ...

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return its result once that is durably committed.

        When `work` raises, all is rolled back and the error goes on. `CommitUnknown` means that it may have been
        committed. `work` may await nothing but its transaction (`AwaitInTransaction` where that can be told).
        """
        ...

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one read-only transaction, which sees all that was acknowledged before it began."""
        ...

    def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        """The result in batches of at most `batch` rows, from one consistent snapshot, in bounded memory."""
        ...


@runtime_checkable
class Copying(Protocol):
    """A database that can give many rows away as text, which costs it and us far less than values."""

    def copied(self, sql: str | Statement, /, **params: Param) -> AsyncGenerator[bytes, None]:
        r"""The result in COPY's text format, from one consistent snapshot, in pieces of whole rows, in bounded memory.

        Columns are parted by a tab and rows by a line feed, NULL is `\N`, and a backslash stands before what would be
        read as one of these: https://www.postgresql.org/docs/current/sql-copy.html.
        """
        ...


class Clock(Protocol):
    """Time on this machine: for waiting and for durations only. Moments come from the database server."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Caller(Protocol):
    """Runs a user's call and query handlers under a time-out."""

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """Call `method`, which may be `def` or `async def`, and return what it returns, or raise what it raises.

        Raise `TimeoutError` after `timeout` seconds; `method` then runs on, and what it returns later goes to `late`.
        """
        ...


class Message(NamedTuple):
    """A message to another service. `id` stays the same whenever it is sent; `created` is the server's microseconds."""

    id: str
    topic: str
    key: str
    headers: Mapping[str, str]
    body: bytes
    created: int


class Channel(Protocol):
    """A way to other services: a broker, or anything that can say that it has a message."""

    async def open(self) -> None:
        """Make ready; what cannot be reached yet is no error, `publish` will tell."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send messages, of which no two have the same key, and say of each in turn what became of it.

        None: the other side has it durably. A text: it was refused, and why; the others are not affected. Raise when
        that cannot be told of all of them, as when the connection is lost: all are sent again, with their ids.
        """
        ...


class Delivery(NamedTuple):
    """A message from another service, as a subscription hands it out.

    `id` is the same whenever it is delivered, "" when neither its sender nor the broker gave it one. `key` names what
    has to stay in order, "" when nothing has to. `receipt` is the subscription's own. `place`: in which of the topic's
    logs it stands, and its number there, where a broker counts them.
    """

    id: str
    topic: str
    key: str
    headers: Mapping[str, str]
    body: bytes
    receipt: Any = None
    place: tuple[str, int] | None = None


class Subscription(Protocol):
    """What comes in of one topic, until it is closed or fails; then a new one goes on where this one was."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Wait until something has come, at most `limit` messages; raise when the connection is lost."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these, which are what `receive` returned last, are done: until then they may be delivered again."""
        ...

    async def close(self) -> None:
        """Give everything back; what was not acknowledged is delivered to others."""
        ...


class NumberedSubscription(Subscription, Protocol):
    """One of a broker that numbers messages, such as `Delivery.place` says; its inlet has `is_log` set.

    Whoever acknowledges a message acknowledges all before it in its log.
    """

    async def ends(self, topic: str) -> Mapping[str, int]:
        """The number that the next message of each of the topic's logs will have."""
        ...


class Inlet(Protocol):
    """A channel that messages come in from as well."""

    async def subscribe(self, topic: str) -> Subscription:
        """Take part in consuming a topic; raise what keeps it from being consumed now: it is tried again."""
        ...
