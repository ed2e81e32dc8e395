"""ASGI middleware for the Idempotency-Key header, after draft-ietf-httpapi-idempotency-key-header.

    app = IdempotencyMiddleware(app, once=tieout_app.http_once(owner=account_of))

The route runs inside a transaction and writes through `tieout.current_tx()`, or `scope["tieout.tx"]`. Its answer is
stored by the same transaction, and sent once that is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from tieout.errors import DatabaseError, TieoutError, UsageError
from tieout.once.answers import Answered, HttpAnswer
from tieout.once.current import running
from tieout.once.exchange import Body, DisconnectedError, Draft, RouteError, answer, no_answer, stated_length, too_slow
from tieout.once.http import Call, HttpOnce, HttpRules, sent_headers
from tieout.wire.idempotency_key import HEADER

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class AbandonedError(Exception):
    """Raised in a route that waits to send its answer: it was rolled back, and nobody is to be told of it."""


class IdempotencyMiddleware:
    """Lets each request with a key reach the application once; every other one with that key gets the first answer.

    Covered requests without a key get 400, with the key of a request that is at work 409, with a key that was used for
    another request 422: problem details whose `code` is that of the error. An answer that was given before is marked
    by `Idempotency-Replayed: true`. What runs after the answer, such as background tasks, runs after the commit.
    """

    def __init__(self, app: Application, once: HttpOnce) -> None:
        if not isinstance(once, HttpOnce):
            raise UsageError(
                "once= is what http_once of a tieout.App made; tieout.once.wsgi is for tieout.blocking.App"
            )
        self.app = app
        self.once = once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not self.once.covers(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        exchange = AsgiExchange(self.app, scope, receive, self.once.rules)
        try:
            answered = await answer(self.once, exchange)
        except DisconnectedError:
            return
        if answered is None:
            await self.app(scope, exchange.again(), send)
            return
        try:
            await give(answered, send)
        except Exception:  # the client is gone, and what was to come after the answer is due all the same
            await exchange.finish()
            raise
        except BaseException:
            await exchange.abandon()
            raise
        await exchange.finish()


class AsgiExchange:
    """One request and the application's runs for it."""

    def __init__(self, app: Application, scope: Scope, receive: Receive, rules: HttpRules) -> None:
        self.call = Call(scope["method"], scope["path"], scope.get("query_string", b""), scope)
        self.keys = named(scope["headers"], HEADER)
        self._app = app
        self._scope = scope
        self._receive = receive
        self._rules = rules
        self._read: Body | None = None
        self._route: Route | None = None

    async def read(self, limit: int) -> Body:
        """The body, unless its stated length is over the limit already."""
        stated = stated_length(b"".join(named(self._scope["headers"], "content-length")[:1]))
        if stated is not None and stated > limit:
            return Body(b"", whole=False)
        self._read = await read(self._receive, limit)
        return self._read

    def again(self) -> Receive:
        """What to receive from so that what was read of the body comes first."""
        if self._read is None:
            return self._receive
        body = self._read
        first: list[Message] = [{"type": "http.request", "body": body.data, "more_body": not body.whole}]

        async def following() -> Message:
            return first.pop() if first else await self._receive()

        return following

    async def run(self, tx: Any) -> HttpAnswer:
        """Run the application in this transaction, up to its whole answer."""
        await self.abandon()
        self._route = Route(self._rules, self.call)
        return await self._route.begin(self._app, dict(self._scope), self.again(), tx)

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

    def __init__(self, rules: HttpRules, call: Call) -> None:
        self._rules = rules
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[HttpAnswer] = loop.create_future()
        self._released: asyncio.Future[bool] = loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._draft = Draft(call, rules.max_answer)

    async def begin(self, app: Application, scope: Scope, receive: Receive, tx: Any) -> HttpAnswer:
        """Its whole answer. Raise `RouteError` for what it raised instead, but a `DatabaseError` as it is."""
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
            raise too_slow(limit)
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
            self._draft.begin(message["status"], _decoded(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            self._collect(message)
        if self._answer.done() and not await self._released:
            raise AbandonedError

    def _collect(self, message: Message) -> None:
        self._draft.add(message.get("body", b""))
        if message.get("more_body", False) and not self._draft.is_too_long:
            return
        try:
            self._answer.set_result(self._draft.whole())
        except TieoutError as error:
            self._answer.set_exception(error)


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers)


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


def named(headers: Iterable[tuple[bytes, bytes]], name: str) -> list[bytes]:
    """The values of the header fields of this name."""
    wanted = name.lower().encode("ascii")
    return [value for field, value in headers if field.lower() == wanted]


def _why_no_answer(task: asyncio.Task[None]) -> Exception:
    if task.cancelled():
        return RouteError(asyncio.CancelledError())
    error = task.exception() or no_answer()
    return error if isinstance(error, DatabaseError) else RouteError(error)


async def give(answered: Answered[HttpAnswer], send: Send) -> None:
    """Send a whole answer."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent_headers(answered)]
    await send({"type": "http.response.start", "status": answered.value.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.value.body})
