"""ASGI middleware for the Idempotency-Key header, after draft-ietf-httpapi-idempotency-key-header.

    app = IdempotencyMiddleware(app, once=tieout_app.http_once(owner=account_of))

The route runs inside a transaction and writes through `tieout.current_tx()`, or `scope["tieout.tx"]`. Its answer is
stored by the same transaction, and sent once that is committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from tieout.errors import DatabaseError, InvalidKey, Overloaded, TieoutError, TooLarge, Unrepeatable, UsageError
from tieout.once.answers import Answered, HttpAnswer
from tieout.once.current import running
from tieout.once.http import HttpOnce, HttpRules, missing_key, raw_headers
from tieout.once.rules import Request
from tieout.wire.idempotency_key import HEADER, parse_key

log = logging.getLogger("tieout.once")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


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


class AbandonedError(Exception):
    """Raised in a route that waits to send its answer: it was rolled back, and nobody is to be told of it."""


class IdempotencyMiddleware:
    """Lets each request with a key reach the application once; every other one with that key gets the first answer.

    Covered requests without a key get 400, with the key of a request that is at work 409, with a key that was used for
    another request 422: problem details whose `code` is that of the error. An answer that was given before is marked
    by `Idempotency-Replayed: true`. What runs after the answer, such as background tasks, runs after the commit.
    """

    def __init__(self, app: Application, once: HttpOnce) -> None:
        self.app = app
        self.once = once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not self.once.covers(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            key = self._key(scope)
            body = Body(b"", whole=True) if key is None else await self._read(scope, receive)
            if key is None or not body.whole:
                await self.app(scope, receive if key is None else again(body, receive), send)
                return
            request = self.once.request(scope, key, body.data)
        except (InvalidKey, TooLarge) as error:
            await self._refuse(error, send)
        except DisconnectedError:
            return
        else:
            await self._run(request, Exchange(self.app, scope, lambda: again(body, receive), self.once.rules), send)

    def _key(self, scope: Scope) -> str | None:
        key = parse_key(named(scope["headers"], HEADER))
        if key is None and self.once.rules.required:
            raise missing_key()
        return key

    async def _read(self, scope: Scope, receive: Receive) -> Body:
        limit = self.once.rules.max_request
        stated = named(scope["headers"], "content-length")
        body = Body(b"", whole=False)
        if not (stated and stated[0].isdigit() and int(stated[0][:20]) > limit):
            body = await read(receive, limit)
        if not body.whole and self.once.rules.oversize == "refuse":
            raise TooLarge(f"the body of a request with a key may have {limit} bytes")
        return body

    async def _run(self, request: Request, exchange: Exchange, send: Send) -> None:
        try:
            answered = await self.once.run(request, exchange.run)
        except RouteError as error:
            raise error.cause from None
        except TieoutError as error:
            await exchange.abandon()
            await self._refuse(error, send)
        except BaseException:
            await exchange.abandon()
            raise
        else:
            if answered.replayed:
                await exchange.abandon()
            await give(answered, send)
            await exchange.finish()

    async def _refuse(self, error: TieoutError, send: Send) -> None:
        answer = self.once.refusal(error)
        if answer is None:
            raise error
        await give(Answered(answer, replayed=False), send)


class Exchange:
    """One request and the application's runs for it: more than one when a transaction had to be repeated."""

    def __init__(self, app: Application, scope: Scope, receive: Callable[[], Receive], rules: HttpRules) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._rules = rules
        self._route: Route | None = None

    async def run(self, tx: Any) -> HttpAnswer:
        """Run the application in this transaction, up to its whole answer."""
        await self.abandon()
        self._route = Route(self._rules)
        return await self._route.begin(self._app, dict(self._scope), self._receive(), tx)

    async def finish(self) -> None:
        """The answer is out: let the application run on to its end, and raise what it raises."""
        if self._route is not None:
            await self._route.go_on()

    async def abandon(self) -> None:
        """End a run whose transaction was rolled back."""
        if self._route is not None:
            await self._route.give_up()
            self._route = None


class Route:
    """One run of the application: its answer is collected, and what it does after that waits for the commit."""

    def __init__(self, rules: HttpRules) -> None:
        self._rules = rules
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[HttpAnswer] = loop.create_future()
        self._released: asyncio.Future[bool] = loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._path = ""
        self._start: Message = {}
        self._body = bytearray()

    async def begin(self, app: Application, scope: Scope, receive: Receive, tx: Any) -> HttpAnswer:
        """Its whole answer. Raise `RouteError` for what it raised instead, but a `DatabaseError` as it is."""
        self._path = scope["path"]
        scope["tieout.tx"] = tx
        scope["extensions"] = {}  # a file sent by the server itself could not be kept
        token = running.set(tx)
        try:
            self._task = asyncio.get_running_loop().create_task(_run_app(app, scope, receive, self._send))
        finally:
            running.reset(token)
        ends: set[asyncio.Future[Any]] = {self._answer, self._task}
        limit = self._rules.max_seconds
        await asyncio.wait(ends, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if self._answer.done():
            return self._answer.result()
        if not self._task.done():
            raise Overloaded(f"the route was not done after {limit:g} s, for which its transaction was open")
        raise _why_no_answer(self._task)

    async def go_on(self) -> None:
        """Let it go on after its answer, to its end."""
        self._release(sent=True)
        if self._task is not None:
            await self._task

    async def give_up(self) -> None:
        """End it."""
        self._release(sent=False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _release(self, *, sent: bool) -> None:
        if not self._released.done():
            self._released.set_result(sent)

    async def _send(self, message: Message) -> None:
        if self._answer.done():
            return
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._collect(message)
        if self._answer.done() and not await self._released:
            raise AbandonedError

    def _collect(self, message: Message) -> None:
        self._body += message.get("body", b"")
        limit = self._rules.max_answer
        if len(self._body) > limit:
            log.error("%s: an answer is longer than %d bytes: rolled back", self._path, limit)
            self._answer.set_exception(Unrepeatable(f"the answer is longer than {limit} bytes, so it cannot be kept"))
        elif not message.get("more_body", False):
            headers = tuple(
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in self._start.get("headers", ())
            )
            self._answer.set_result(HttpAnswer(self._start["status"], headers, bytes(self._body)))


async def _run_app(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    with suppress(AbandonedError):
        await app(scope, receive, send)


async def read(receive: Receive, limit: int) -> Body:
    """The body of a request, up to a limit; raise `DisconnectedError`."""
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        data += message.get("body", b"")
        if len(data) > limit:
            return Body(bytes(data), whole=False)
        if not message.get("more_body", False):
            return Body(bytes(data), whole=True)


def again(body: Body, receive: Receive) -> Receive:
    """What to receive from so that what was read of a body comes first."""
    first: list[Message] = [{"type": "http.request", "body": body.data, "more_body": not body.whole}]

    async def following() -> Message:
        return first.pop() if first else await receive()

    return following


def named(headers: Iterable[tuple[bytes, bytes]], name: str) -> list[bytes]:
    """The values of the header fields of this name."""
    wanted = name.lower().encode("ascii")
    return [value for field, value in headers if field.lower() == wanted]


def _why_no_answer(task: asyncio.Task[None]) -> Exception:
    if task.cancelled():
        return RouteError(asyncio.CancelledError())
    error = task.exception() or UsageError("the application ended without a whole answer")
    return error if isinstance(error, DatabaseError) else RouteError(error)


async def give(answered: Answered[HttpAnswer], send: Send) -> None:
    """Send a whole answer."""
    answer = answered.value
    await send({"type": "http.response.start", "status": answer.status, "headers": raw_headers(answered)})
    await send({"type": "http.response.body", "body": answer.body})
