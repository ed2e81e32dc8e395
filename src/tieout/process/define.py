"""What a user writes inside a process type: the decorators of its steps, and its final states.

Nothing is checked here: `process_type.compile` reads what these leave on the class, once, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, overload

import msgspec

from tieout.errors import InvalidParams
from tieout.process.outcomes import Answer, Failed, Found
from tieout.process.sending import Sending

T = TypeVar("T")
P = ParamSpec("P")


class Volatile:
    """The type of `volatile`."""


volatile = Volatile()
"""Marks a param, `Annotated[str, tieout.volatile]`: neither compared nor stored, readable in the start step only."""


class Next(msgspec.Struct, frozen=True):
    """Where a step moves the process, and what it hands on: `self.step.next(...)` or `self.final(value)`."""

    state: str
    args: dict[str, Any] = {}
    result: Any = None
    after: float | str = 0.0
    calls: dict[str, Any] = {}
    children: tuple[Any, ...] = ()


Moves: TypeAlias = Awaitable[Next] | Next
"""What a transaction step returns: `async def` and `def` steps are both `-> Next`."""


class Final(Generic[T]):
    """A final state of a process type, with the type of its result: `completed = tieout.Final[Prize]()`.

    publish     `channel/topic`: tell other services, by a message that is written in the transaction of the last step
    """

    def __init__(self, *, publish: str = "") -> None:
        self.name = ""
        self.publish = publish

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __call__(self, result: T) -> Next:
        """End the process in this state with `result`."""
        return Next(self.name, result=result)


class snapshot(Generic[T]):  # noqa: N801 - used as a decorator, like property
    """A look-up made before the first transaction and stored by it: on the process, the attribute is its value."""

    @overload
    def __init__(self, method: Callable[[Any], Awaitable[T]]) -> None: ...
    @overload
    def __init__(self, method: Callable[[Any], T]) -> None: ...
    def __init__(self, method: Callable[[Any], Any]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, process: None, owner: type) -> snapshot[T]: ...
    @overload
    def __get__(self, process: object, owner: type) -> T: ...
    def __get__(self, process: object | None, owner: type) -> snapshot[T] | T:
        if process is None:
            return self
        try:
            value: T = process.__dict__["looked_up"][self.name]
        except KeyError:
            raise AttributeError(f"snapshot {self.name!r} has not been looked up yet") from None
        return value


class Handler(msgspec.Struct, frozen=True):
    """A transaction step and the states it may move to."""

    method: Callable[..., Any]
    to: tuple[str, ...]


class StartStep:
    """What `@tieout.start` leaves on the class."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler


def start(*, to: str | tuple[str, ...]) -> Callable[[Callable[[Any, Any], Moves]], StartStep]:
    """The first transaction step: its business writes commit with the process, or neither does.

    `to` names every state that it may move to. Raise `Refused` to say no: nothing is stored.
    """

    def decorate(method: Callable[[Any, Any], Moves]) -> StartStep:
        return StartStep(Handler(method, states_of(to)))

    return decorate


class CallOptions(msgspec.Struct, frozen=True):
    """The keyword arguments of `call`, as written. Durations are seconds, or text such as "500ms", "24h", "7d"."""

    timeout: float | str
    query_after: float | str
    settle: float | str | None
    key_valid: float | str | None
    identity: tuple[str, ...]
    echo: dict[str, str]
    idempotent: bool
    lane: str | None
    retry_cap: float | str


class Call(Generic[P, T]):
    """A call step. `next(...)` moves a process to it; `query`, `succeeded` and `failed` add its other methods."""

    def __init__(self, method: Callable[..., Any], options: CallOptions) -> None:
        self.name = ""
        self.method = method
        self.options = options
        self.query_method: Callable[..., Any] | None = None
        self.on_succeeded: Handler | None = None
        self.on_failed: Handler | None = None
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def next(self, *args: P.args, **kwargs: P.kwargs) -> Next:
        """Move to this call. The arguments are stored now and sent on every try; give them by keyword."""
        if args:
            raise InvalidParams(f"give the arguments of {self.name}.next(...) by keyword")
        return Next(self.name, dict(kwargs))

    def query(
        self, method: Callable[Concatenate[Any, Sending, P], Awaitable[Found[T]] | Found[T]]
    ) -> Callable[Concatenate[Any, Sending, P], Awaitable[Found[T]] | Found[T]]:
        """How to ask the downstream what became of a call; it takes the same arguments."""
        self.query_method = method
        return method

    def succeeded(
        self, *, to: str | tuple[str, ...]
    ) -> Callable[[Callable[[Any, Any, T], Moves]], Callable[[Any, Any, T], Moves]]:
        """The transaction step that runs, once, when the call has succeeded."""

        def decorate(
            method: Callable[[Any, Any, T], Moves],
        ) -> Callable[[Any, Any, T], Moves]:
            self.on_succeeded = Handler(method, states_of(to))
            return method

        return decorate

    def failed(
        self, *, to: str | tuple[str, ...]
    ) -> Callable[[Callable[[Any, Any, Failed], Moves]], Callable[[Any, Any, Failed], Moves]]:
        """The transaction step that runs, once, when the call has failed."""

        def decorate(
            method: Callable[[Any, Any, Failed], Moves],
        ) -> Callable[[Any, Any, Failed], Moves]:
            self.on_failed = Handler(method, states_of(to))
            return method

        return decorate


def call(
    *,
    timeout: float | str,
    query_after: float | str = 5.0,
    settle: float | str | None = None,
    key_valid: float | str | None = None,
    identity: list[str] | tuple[str, ...] = (),
    echo: dict[str, str] | None = None,
    idempotent: bool = True,
    lane: str | None = None,
    retry_cap: float | str = "5m",
) -> Callable[[Callable[Concatenate[Any, Sending, P], Awaitable[Answer[T]] | Answer[T]]], Call[P, T]]:
    """A call to a downstream, made outside any transaction, with one key and one set of arguments on every try.

    timeout      how long one try may take; a time-out is never taken for a failure.
    query_after  how long after an unknown outcome to ask the query; also the first back-off.
    settle       how long after a send a `NotFound` is not believed (default: timeout + 2 x query_after).
    key_valid    how long the downstream remembers a key: past it nothing is sent any more (default: for ever).
    identity     fields of the answer in which two successes of one call must agree.
    echo         {field of the answer: argument that it must equal}.
    idempotent   False: the downstream does not know repeats, so that the call is sent once in its life.
    lane         the downstream that this waits on (default: "type.step"); lanes share a worker fairly.
    retry_cap    the longest back-off.
    """
    options = CallOptions(
        timeout, query_after, settle, key_valid, tuple(identity), dict(echo or {}), idempotent, lane, retry_cap
    )
    return lambda method: Call(method, options)


def states_of(to: str | tuple[str, ...]) -> tuple[str, ...]:
    """The states that a `to=` names."""
    return (to,) if isinstance(to, str) else tuple(to)
