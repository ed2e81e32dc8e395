"""WSGI middleware for the Idempotency-Key header, after draft-ietf-httpapi-idempotency-key-header.

    application = IdempotencyMiddleware(application, once=tieout_app.http_once(owner=account_of))

`tieout_app` is a `tieout.blocking.App`. The route runs inside a transaction and writes through
`tieout.current_tx(kind)`, or `environ["tieout.tx"]`. Its answer is stored by the same transaction, and sent once that
is committed.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from http.client import responses
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from tieout.database.driving import drive
from tieout.errors import DatabaseError, LengthRequired, UsageError
from tieout.once.answers import Answered, HttpAnswer
from tieout.once.current import running
from tieout.once.exchange import Body, DisconnectedError, Draft, RouteError, answer, stated_length, too_slow
from tieout.once.http import Call, HttpOnce, sent_headers

log = logging.getLogger("tieout.once")

Environ: TypeAlias = dict[str, Any]
Headers: TypeAlias = list[tuple[str, str]]
Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
Application: TypeAlias = Callable[[Any, Any], Iterable[bytes]]

FIELD = "HTTP_IDEMPOTENCY_KEY"
CHUNK = 65_536
"""Bytes that are asked of a request's input at a time."""


class BlockingOnce(Protocol):
    """What `tieout.blocking.App.http_once` makes."""

    @property
    def native(self) -> HttpOnce: ...


class IdempotencyMiddleware:
    """Lets each request with a key reach the application once; every other one with that key gets the first answer.

    Covered requests without a key get 400, with the key of a request that is at work 409, with a key that was used for
    another request 422: problem details whose `code` is that of the error. An answer that was given before is marked
    by `Idempotency-Replayed: true`. The whole answer is collected in the transaction, generators and what is given to
    `write` included; the `close()` of an answer is called after the commit, once the answer is sent.
    """

    def __init__(self, app: Application, once: BlockingOnce) -> None:
        if not isinstance(getattr(once, "native", None), HttpOnce):
            raise UsageError(
                "once= is what http_once of a tieout.blocking.App made; tieout.once.asgi is for tieout.App"
            )
        self.app = app
        self.once = once.native

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        exchange = WsgiExchange(self.app, environ, self.once)
        if not self.once.covers(exchange.call.method, exchange.call.path):
            return self.app(environ, start_response)
        try:
            answered = drive(answer(self.once, exchange))
        except DisconnectedError:
            answered = Answered(HttpAnswer(400), replayed=False)  # which nobody reads
        if answered is None:
            return self.app(exchange.again(), start_response)
        given = answered.value
        try:
            start_response(f"{given.status} {responses.get(given.status, 'Unknown')}", sent_headers(answered))
        except BaseException:
            exchange.finish()
            raise
        return Given(given.body, exchange.finish)


class Given:
    """A whole answer as the server sends it; then it is closed."""

    def __init__(self, body: bytes, close: Callable[[], None]) -> None:
        self._body = body
        self.close = close

    def __len__(self) -> int:
        """One part, from which a server tells the length of the answer."""
        return 1

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._body,))


class WsgiExchange:
    """One request and the application's runs for it. Its coroutines never suspend."""

    def __init__(self, app: Application, environ: Environ, once: HttpOnce) -> None:
        self.call = Call(environ["REQUEST_METHOD"], path_of(environ), _bytes(environ.get("QUERY_STRING", "")), environ)
        self.keys = [_bytes(environ[FIELD])] if FIELD in environ else []
        self._app = app
        self._environ = environ
        self._once = once
        self._read: Body | None = None
        self._route: Route | None = None

    async def read(self, limit: int) -> Body:
        """The body, unless its stated length is over the limit already."""
        length = length_of(self._environ)
        if length is not None and length > limit:
            return Body(b"", whole=False)
        data = read(self._environ["wsgi.input"], limit + 1 if length is None else length)
        if length is not None and len(data) < length:
            raise DisconnectedError
        self._read = Body(data, whole=len(data) <= limit)
        return self._read

    def again(self) -> Environ:
        """The environ, with what was read of the body before what is left of it."""
        environ = dict(self._environ)
        if self._read is not None and self._read.whole:
            environ["wsgi.input"] = io.BytesIO(self._read.data)
            environ["CONTENT_LENGTH"] = str(len(self._read.data))
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        elif self._read is not None:
            environ["wsgi.input"] = io.BufferedReader(Rest(self._read.data, environ["wsgi.input"]))
        return environ

    async def run(self, tx: Any) -> HttpAnswer:
        """Run the application in this transaction, up to its whole answer."""
        await self.abandon()
        self._route = Route(self._once, self.call)
        return self._route.run(self._app, self.again(), tx)

    def finish(self) -> None:
        """The answer is out: close it as the application wants, and raise what that raises."""
        route, self._route = self._route, None
        if route is not None:
            route.close()

    async def abandon(self) -> None:
        """Close a run whose transaction was rolled back."""
        try:
            self.finish()
        except Exception:
            log.exception("%s: an answer that was rolled back could not be closed", self.call.path)


class Route:
    """One run of the application, whose answer is collected."""

    def __init__(self, once: HttpOnce, call: Call) -> None:
        self._rules = once.rules
        self._clock = once.clock
        self._draft = Draft(call, once.rules.max_answer)
        self._parts: Iterable[bytes] = ()
        self._ended = False

    def run(self, app: Application, environ: Environ, tx: Any) -> HttpAnswer:
        """Its whole answer. Raise `RouteError` for what it raised instead, but a `DatabaseError` as it is."""
        environ["tieout.tx"] = tx
        environ.pop("wsgi.file_wrapper", None)  # a file sent by the server itself could not be kept
        ends = self._clock.monotonic() + self._rules.max_seconds
        token = running.set(tx)
        try:
            self._collect(app, environ, ends)
        except DatabaseError:
            raise
        except Exception as error:
            if not self._draft.is_too_long:
                raise RouteError(error) from error
        finally:
            running.reset(token)
            self._ended = True
        if self._clock.monotonic() > ends:
            raise too_slow(self._rules.max_seconds)
        return self._draft.whole()

    def close(self) -> None:
        """Close the answer, as a server has to."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()

    def _collect(self, app: Application, environ: Environ, ends: float) -> None:
        self._parts = app(environ, self._start_response)
        for part in self._parts:
            self._write(part)
            if self._clock.monotonic() > ends:
                return

    def _start_response(
        self, status: str, headers: Headers, exc_info: Raised | None = None
    ) -> Callable[[bytes], object]:
        """Begin the answer; with `exc_info`, begin another one instead, as long as the first is not complete."""
        if self._ended and exc_info and exc_info[1]:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._ended or (self._draft.is_begun and not exc_info):
            raise UsageError("the application began its answer twice")
        self._draft.begin(int(status.partition(" ")[0]), headers)
        return self._write

    def _write(self, part: bytes) -> None:
        """Add a part of the answer; raise for one too many, so that an endless answer has an end."""
        if self._ended or not self._draft.is_begun:
            raise UsageError("the application wrote outside of its answer")
        self._draft.add(part)
        if self._draft.is_too_long:
            raise UsageError("the answer is too long")


class Rest(io.RawIOBase):
    """What was read of a body, and then what is left of it."""

    def __init__(self, first: bytes, rest: Any) -> None:
        self._first = memoryview(first)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = len(buffer)
        data = self._first[:size] if self._first else self._rest.read(size)
        self._first = self._first[size:]
        buffer[: len(data)] = data
        return len(data)


def read(stream: Any, size: int) -> bytes:
    """So many bytes, or as many as there are; raise `DisconnectedError` when the client is gone."""
    data = bytearray()
    while len(data) < size:
        try:
            part = stream.read(min(size - len(data), CHUNK))
        except OSError as error:
            raise DisconnectedError from error
        if not part:
            break
        data += part
    return bytes(data)


def length_of(environ: Environ) -> int | None:
    """The length of a body; None when it ends where its input ends. Raise `LengthRequired` where nobody can tell."""
    stated = environ.get("CONTENT_LENGTH") or None
    length = stated_length(stated)
    if length is not None:
        return length
    if environ.get("wsgi.input_terminated"):
        return None
    if stated or environ.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired("a request with a key has to state its Content-Length: nothing else tells where it ends")
    return 0


def path_of(environ: Environ) -> str:
    """The whole path, as ASGI has it: what is mounted elsewhere is another request."""
    raw = _bytes(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
    return raw.decode("utf-8", "surrogateescape") or "/"


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
