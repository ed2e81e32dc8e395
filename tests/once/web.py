"""A client for ASGI applications, and a plain ASGI application that issues prizes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.once.place import give
from tieout import current_tx

WAITED = 60.0
"""Seconds after which an application that has not ended is stuck."""


class Reply(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status and self.json["title"] and self.json["detail"]
        return self.json["code"]

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotency-replayed") == "true"


class Client:
    """Sends requests to an application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def send(
        self,
        key: str | bytes | None,
        body: Any = None,
        *,
        method: str = "POST",
        path: str = "/prizes",
        query: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        chunks: list[bytes] | None = None,
        state: dict[str, Any] | None = None,
        gone: bool = False,
    ) -> Reply:
        """The response to one request; `gone`: the client disconnects before its request is whole."""
        fields = [*headers, (b"content-type", b"application/json")]
        if key is not None:
            fields.append((b"Idempotency-Key", key.encode() if isinstance(key, str) else key))
        parts = chunks if chunks is not None else [json.dumps(body if body is not None else {"sku": "mug"}).encode()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in fields],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "extensions": {"http.response.pathsend": {}},
            "state": state or {},
        }
        exchange = _Exchange(parts, gone=gone)
        async with asyncio.timeout(WAITED):
            await self.app(scope, exchange.receive, exchange.send)
        return exchange.reply()


class _Exchange:
    def __init__(self, parts: list[bytes], *, gone: bool) -> None:
        self._parts = list(parts)
        self._gone = gone
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or self._gone}
        if self._gone:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def reply(self) -> Reply:
        if not self.sent:
            return Reply(0, {}, b"")
        start, *rest = self.sent
        assert start["type"] == "http.response.start"
        assert all(message["type"] == "http.response.body" for message in rest)
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


Route = Callable[["Service", Any, Any, Any], Awaitable[None]]


class Service:
    """A plain ASGI application: reads the order, writes the prize in the request's transaction, answers its code."""

    def __init__(self, answer: Route | None = None) -> None:
        self.runs = 0
        self.after: list[str] = []
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.runs += 1
        if self._answer is not None:
            await self._answer(self, scope, receive, send)
            return
        order = json.loads(await body_of(receive))
        await give(current_tx(), "", order["sku"], order.get("quantity", 1))
        await reply(send, {"code": f"{order['sku']}-{self.runs}"}, status=201)


async def body_of(receive: Any) -> bytes:
    """A request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def reply(send: Any, value: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    """Answer with JSON."""
    body = json.dumps(value).encode()
    fields = [(b"Content-Type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
