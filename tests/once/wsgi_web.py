"""A client for WSGI applications, a plain WSGI application that issues prizes, and the database that it writes in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any
from wsgiref.validate import validator

from tests.once.place import PRIZE, TABLES
from tests.once.web import Reply
from tieout import HttpRules, blocking, current_tx
from tieout.once.wsgi import IdempotencyMiddleware


class Till:
    """One database, and the blocking Apps that a test has opened on it: each stands for a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.apps: list[blocking.App] = []

    @property
    def app(self) -> blocking.App:
        return self.apps[0]

    def open(self, **options: Any) -> blocking.App:
        """An open App."""
        app = blocking.App(self.url, **({"sweep": False, "migrate": True} | options))
        app.__enter__()
        self.apps.append(app)
        return app

    def prepare(self) -> None:
        """Empty tables."""
        self.open()
        self.run(PRIZE)
        for table in TABLES:
            self.run(f"DELETE FROM {table}")

    def close(self) -> None:
        for app in self.apps:
            app.close()

    def run(self, sql: str) -> None:
        self.app.database.transact(lambda tx: tx.execute(sql))

    def count(self, table: str) -> int:
        return self.app.database.read(lambda tx: tx.fetch_one(f"SELECT count(*) FROM {table}"))[0]

    @property
    def effects(self) -> int:
        return self.count("prize")

    @property
    def answers(self) -> int:
        return self.count("tieout_once")

    def serve(self, route: Any = None, owner: Any = None, **rules: Any) -> tuple[WsgiClient, WsgiService]:
        """A client of a service behind the middleware, on an App of its own; and the service."""
        service = WsgiService(route)
        once = self.open().http_once(owner=owner, rules=HttpRules(**rules))
        return WsgiClient(IdempotencyMiddleware(service, once=once)), service


def give(sku: str = "mug", quantity: int = 1) -> None:
    """The effect, in the transaction of the request."""
    current_tx(blocking.Transaction).execute(
        "INSERT INTO prize (owner, sku, quantity) VALUES ('', :sku, :quantity)", sku=sku, quantity=quantity
    )


Route = Callable[["WsgiService", dict[str, Any], Any], Any]


class WsgiService:
    """A plain WSGI application: reads the order, writes the prize in the request's transaction, answers its code."""

    def __init__(self, route: Route | None = None) -> None:
        self.runs = 0
        self.closed: list[Any] = []
        self._route = route

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.runs += 1
        if self._route is not None:
            return self._route(self, environ, start_response)
        order = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        give(order["sku"], order.get("quantity", 1))
        return reply(start_response, {"code": f"{order['sku']}-{self.runs}"}, "201 Created")


def reply(start_response: Any, value: Any, status: str = "200 OK", *headers: tuple[str, str]) -> list[bytes]:
    """Answer with JSON."""
    body = json.dumps(value).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])
    return [body]


class Parts:
    """An answer in parts, with something to do when it is closed."""

    def __init__(self, parts: Any, close: Callable[[], object]) -> None:
        self._parts = parts
        self.close = close

    def __iter__(self) -> Any:
        return iter(self._parts)


class WsgiClient:
    """Sends requests to an application as a server does, and checks that both keep to WSGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    @property
    def once(self) -> Any:
        return self.app.once

    def send(
        self, key: str | None, body: Any = None, *, method: str = "POST", path: str = "/prizes", **more: Any
    ) -> Reply:
        """The response to one request; what is more are fields of the environ, or its whole `data`."""
        data = more.pop("data", None)
        data = json.dumps(body if body is not None else {"sku": "mug"}).encode() if data is None else data
        environ = environ_of(method, path, data) | more
        if key is not None:
            environ["HTTP_IDEMPOTENCY_KEY"] = key
        return call(validator(self.app), {name: value for name, value in environ.items() if value is not None})


def environ_of(method: str, path: str, data: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def call(app: Any, environ: dict[str, Any]) -> Reply:
    """What an application answers."""
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        begun.append((int(status[:3]), {name.lower(): value for name, value in headers}))
        return None

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        parts.close()
    return Reply(*begun[-1], body)
