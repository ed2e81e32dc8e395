"""What stands in front of every route: limits, who asks, the body, headers of the answer, the log and the metrics."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from tieout import tracing
from tieout.access import Caller
from tieout.coordination.bucket import Buckets
from tieout.errors import InvalidRequest, NotAuthenticated, RateLimited, TieoutError, TooLarge
from tieout.server.auth import Doorkeeper, Headers
from tieout.server.bodies import check_json, read_body
from tieout.server.problems import refusal
from tieout.server.settings import CALLBACK
from tieout.server.site import Site, fields_of

log = logging.getLogger("tieout.server")

SIGNED = ("/v1/report/", "/v1/push/")
"""Below these, bodies are signed: nothing is read into them before the signature is."""

WITHOUT_CALLER = frozenset({"/healthz", "/readyz", "/version", "/v1/login", CALLBACK})
"""Here nobody is asked who they are: a node has to say how it is also when its database does not answer, and whoever
logs in may have a session that is over."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""What another site may make a browser ask, since it changes nothing, and that site does not see the answer."""

FAILURES = 5.0, 50.0
"""Requests of one address with no token that counts: in a second on average, and at once."""

SITES = frozenset({"same-origin", "none"})
"""Where a browser may have been when it sends what changes something with a person's log-in."""

METHODS = WITH_BODY | SAFE | {"DELETE", "TRACE", "CONNECT"}
"""What metrics tell apart: anybody can send others, without end, and each would be kept."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_SLASHES = re.compile("//+")

_FIXED = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NOT_KEPT = (b"cache-control", b"no-store")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Routes = Callable[[Any, Any, Any], Awaitable[None]]


class Exchange:
    """One request and its answer, as far as the front has to know of them."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.headers = fields_of(scope)
        given = self.headers.get("x-request-id", ("",))[0]
        self.id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.status = 0
        self.began = time.perf_counter()
        self._send = send

    @property
    def peer(self) -> str:
        """The address of the other end."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def method(self) -> str:
        """Its method as metrics and traces name it."""
        method = str(self.scope["method"])
        return method if method in METHODS else "other"

    @property
    def route(self) -> str:
        """The route's pattern; never the path, which may hold what nobody shall read."""
        return str(self.scope.get("path_template") or "unknown")

    async def send(self, message: Message) -> None:
        """Send what the route says, with the headers of every answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            names = {name.lower() for name, _ in headers}
            headers += [(b"x-request-id", self.id.encode()), *_FIXED]
            headers += [field for field in (_POLICY, _NOT_KEPT) if field[0] not in names]
            message["headers"] = headers
        await self._send(message)


class Front:
    """The ASGI application of one App: everything that is so for every route, around the routes."""

    def __init__(self, routes: Routes, site: Site, prefix: str) -> None:
        self.routes = routes
        self.site = site
        self.prefix = prefix
        self.door = Doorkeeper(site.tokens, site.settings, site.logins)
        self.origin = site.settings.origin
        self.rates = Buckets(site.settings.rate, site.settings.burst)
        self.failures = Buckets(*FAILURES)
        self.requests: set[Exchange] = set()
        site.metrics.in_flight.set_function(lambda: len(self.requests))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        scope = self._relative(scope)
        exchange = Exchange(scope, send)
        self.requests.add(exchange)
        try:
            with tracing.span("request", exchange.headers.get(tracing.HEADER, ("",))[0], "server") as span:
                await self._answer_and_tell(exchange, receive)
                if span is not None:
                    span.update_name(f"{exchange.method} {exchange.route}")
                    span.set_attribute("http.response.status_code", exchange.status)
        finally:
            self.requests.discard(exchange)

    async def _answer_and_tell(self, exchange: Exchange, receive: Receive) -> None:
        try:
            await self._answer(exchange, receive)
        finally:
            self._tell(exchange)

    async def drain(self, seconds: float) -> None:
        """Let no listener hold a connection, and wait for requests to end."""
        self.site.is_draining = True
        self.site.hub.close()
        ends = time.monotonic() + seconds
        while self.requests and time.monotonic() < ends:  # noqa: ASYNC110 - every request would have to set an event
            await asyncio.sleep(0.02)

    def _relative(self, scope: Scope) -> Scope:
        """The scope with the path that our routes know, whoever mounted us below which prefix."""
        root = str(scope.get("root_path", "")).rstrip("/")
        path = scope["path"]
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :]
        if self.prefix and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            path = path[len(self.prefix) :]
            root += self.prefix
        target = scope.get("raw_path") or quote(scope["path"]).encode()
        told = {"tieout.prefix": root, "tieout.target": target.partition(b"?")[0]}
        # As the router takes it, so that nothing below judges another path than it does.
        changed = {**scope, "path": _SLASHES.sub("/", path) or "/", "root_path": "", **told}
        changed.pop("raw_path", None)
        return changed

    async def _answer(self, exchange: Exchange, receive: Receive) -> None:
        try:
            prepared = await self._prepare(exchange, receive)
        except TieoutError as error:
            self.site.metrics.refused.labels(error.code).inc()
            await self._refuse(exchange, error)
            return
        except Exception as error:
            log.exception("a request could not be prepared")
            await self._refuse(exchange, error)
            return
        await self.routes(exchange.scope, prepared, exchange.send)

    async def _prepare(self, exchange: Exchange, receive: Receive) -> Receive:
        """Check what is so for every route; return what the body is received from."""
        scope, headers, settings = exchange.scope, exchange.headers, self.site.settings
        if sum(len(name) + len(value) for name, value in scope["headers"]) > settings.max_headers:
            raise TooLarge(f"header fields are at most {settings.max_headers} bytes long")
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise InvalidRequest("no address holds a NUL")
        caller = None if scope["path"] in WITHOUT_CALLER else await self._caller(exchange)
        scope["tieout.caller"] = caller
        if scope["method"] not in WITH_BODY:
            return receive
        is_signed = scope["path"].startswith(SIGNED)
        if caller is None and not is_signed:
            return receive
        body = await read_body(receive, headers, settings)
        if body and not is_signed:
            check_json(body, headers)
        return _replay(body, receive)

    async def _caller(self, exchange: Exchange) -> Caller | None:
        now = time.monotonic()
        try:
            caller = await self.door.caller(exchange.headers, exchange.peer)
        except NotAuthenticated:
            if wait := self.failures.take(exchange.peer, now):
                raise RateLimited("too many requests with tokens that do not count", wait) from None
            raise
        if caller is None:
            return None
        if wait := self.rates.take(caller.limit, now):
            raise RateLimited(f"more than {self.site.settings.rate:g} requests in a second", wait)
        if caller.is_ambient and exchange.scope["method"] not in SAFE:
            self._check_site(exchange.headers)
        return caller

    def _check_site(self, headers: Headers) -> None:
        """Raise `InvalidRequest` where a browser may have been made to send this by another site's page."""
        sites, origins = headers.get("sec-fetch-site", ()), headers.get("origin", ())
        is_foreign = any(site not in SITES for site in sites)
        is_foreign |= bool(self.origin) and any(origin != self.origin for origin in origins)
        is_untold = "cookie" in headers and not (sites or origins)
        if is_foreign or is_untold:
            raise InvalidRequest("another site may not do this in a person's name: Origin has to be this server's")

    async def _refuse(self, exchange: Exchange, error: Exception) -> None:
        status = 431 if isinstance(error, TooLarge) and "header" in str(error) else None
        told = refusal(error, self.site.settings.documentation, status)
        headers = [(name.encode(), value.encode()) for name, value in told.headers.items()]
        headers.append((b"content-length", str(len(told.body)).encode()))
        await exchange.send({"type": "http.response.start", "status": told.status, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": told.body, "more_body": False})

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lifespan: open the App unless its host has; web sockets: there are none."""
        if scope["type"] != "lifespan":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        await self._live(receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.site.app.__aenter__()
        except Exception as error:  # noqa: BLE001 - the server is told, and ends
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain(self.site.settings.drain)
        await self.site.end_work()
        await self.site.app.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _tell(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        scope = exchange.scope
        self.site.metrics.answered(exchange.method, exchange.route, exchange.status, seconds)
        caller: Caller | None = scope.get("tieout.caller")
        if log.isEnabledFor(logging.INFO):
            told = {"request": exchange.id, "caller": caller.name if caller else None, "ms": round(seconds * 1e3, 1)}
            log.info("%s %s %d", scope["method"], exchange.route, exchange.status, extra={"told": told})


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, and then what really comes."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return parts.pop() if parts else await receive()

    return again
