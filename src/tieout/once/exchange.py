"""One HTTP request with a key, from its first header to its answer, whichever server brings it.

All that is decided is decided here and in `HttpOnce`. A server's side reads and runs: the coroutines of ASGI suspend,
those of WSGI block.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from tieout.errors import InvalidKey, LengthRequired, Overloaded, TieoutError, TooLarge, Unrepeatable, UsageError
from tieout.once.answers import Answered, HttpAnswer
from tieout.once.http import Call, HttpOnce

log = logging.getLogger("tieout.once")


class Body(NamedTuple):
    """What was read of a request's body: all of it, or as much as shows that it is too long."""

    data: bytes
    whole: bool


class DisconnectedError(Exception):
    """The client went before its request was whole."""


class RouteError(Exception):
    """The route raised `cause`, which is its server's to handle."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(repr(cause))
        self.cause = cause


class Exchange(Protocol):
    """One request, as its server brings it, and the application's runs for it.

    There is more than one run when a transaction had to be repeated.
    """

    @property
    def call(self) -> Call: ...
    @property
    def keys(self) -> list[bytes]:
        """The values of the request's `Idempotency-Key` fields."""
        ...

    async def read(self, limit: int) -> Body:
        """The request's body; raise `DisconnectedError` or `LengthRequired`."""
        ...

    async def run(self, tx: Any) -> HttpAnswer:
        """Run the application in this transaction, up to its whole answer; end the run before.

        Raise `RouteError` for what it raised instead, but a `DatabaseError` as it is.
        """
        ...

    async def abandon(self) -> None:
        """End a run whose transaction was rolled back, if there is one. Raises nothing of the application's."""
        ...


async def answer(once: HttpOnce, exchange: Exchange) -> Answered[HttpAnswer] | None:
    """What to answer; None for a request that goes to the application unprotected.

    Raise `DisconnectedError`, what the route raised, or an error that is not a caller's to know.
    """
    try:
        key = once.key(exchange.keys)
        body = None if key is None else await _read(once, exchange)
        if key is None or body is None:
            return None
        request = once.request(exchange.call, key, body)
    except (InvalidKey, TooLarge, LengthRequired) as error:
        return once.refused(error)
    try:
        answered = await once.run(request, exchange.run)
    except RouteError as error:
        await exchange.abandon()
        raise error.cause from None
    except TieoutError as error:
        await exchange.abandon()
        return once.refused(error)
    except BaseException:
        await exchange.abandon()
        raise
    if answered.replayed:
        await exchange.abandon()
    return answered


async def _read(once: HttpOnce, exchange: Exchange) -> bytes | None:
    """The whole body; None for one over the limit that goes through."""
    limit = once.rules.max_request
    body = await exchange.read(limit)
    if not body.whole and once.rules.oversize == "refuse":
        raise TooLarge(f"the body of a request with a key may have {limit} bytes")
    return body.data if body.whole else None


def stated_length(field: bytes | str | None) -> int | None:
    """The value of Content-Length; None without one, or where it is no number."""
    return int(field[:20]) if field and field.isascii() and field.isdigit() else None


class Draft:
    """An answer while it is collected."""

    def __init__(self, call: Call, limit: int) -> None:
        self._call = call
        self._limit = limit
        self._status: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = bytearray()

    @property
    def is_begun(self) -> bool:
        return self._status is not None

    @property
    def is_too_long(self) -> bool:
        return len(self._body) > self._limit

    def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Begin the answer, or begin another one in its place: nothing of the first was sent."""
        self._status = status
        self._headers = tuple(headers)
        self._body.clear()

    def add(self, part: bytes) -> None:
        """Add a part of the body; of what is too long only so much is kept that it shows."""
        self._body += part[: self._limit + 1]

    def whole(self) -> HttpAnswer:
        """The answer; raise `Unrepeatable` for one that is too long, `UsageError` for one that never began."""
        if self.is_too_long:
            log.error("%s: an answer is longer than %d bytes: rolled back", self._call.path, self._limit)
            raise Unrepeatable(f"the answer is longer than {self._limit} bytes, so it cannot be kept")
        if self._status is None:
            raise no_answer()
        return HttpAnswer(self._status, self._headers, bytes(self._body))


def no_answer() -> UsageError:
    """The error for an application that ended without a whole answer."""
    return UsageError("the application ended without a whole answer")


def too_slow(limit: float) -> Overloaded:
    """The error for a route that took too long."""
    return Overloaded(f"the route was not done after {limit:g} s, for which its transaction was open")
