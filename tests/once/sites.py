"""The same small service in each framework, as its documentation would have it written, and servers to run it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import django
import flask
import psycopg
import pymysql
import uvicorn
import waitress
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import JsonResponse
from django.urls import path
from fastapi import FastAPI, HTTPException, Request
from litestar import Litestar, get, post
from litestar import Response as LitestarResponse
from litestar.exceptions import ClientException
from litestar.params import FromPath, JSONBody
from psycopg_pool import ConnectionPool
from pydantic import BaseModel
from pymysql.constants.CLIENT import FOUND_ROWS
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from tests.once.place import give
from tests.once.wsgi_web import give as give_plainly
from tieout import Absent, Answered, App, HttpRules, blocking, current_tx
from tieout.once.asgi import IdempotencyMiddleware as AsgiMiddleware
from tieout.once.wsgi import IdempotencyMiddleware as WsgiMiddleware

RULES = HttpRules(paths=("/prizes*",), wait="20s")
INSERT = "INSERT INTO prize (owner, sku, quantity) VALUES ('', '{}', 1)"
WAITED = 60.0
"""Seconds for a server to start or to end."""


class Order(BaseModel):
    """What FastAPI and Litestar read."""

    sku: str


def issued(sku: str) -> dict[str, Any]:
    """The business after its write: a prize, a refusal, or a bug."""
    if sku == "none":
        raise LookupError
    if sku == "broken":
        raise ZeroDivisionError
    return {"code": f"{sku}-1"}


def told(found: Any) -> tuple[int, dict[str, Any]]:
    """What a query by key is answered."""
    match found:
        case Answered(answer):
            return 200, {"status": answer.status}
        case Absent():
            return 404, {}
        case _:
            return 409, {}


@contextmanager
def fastapi_site(url: str) -> Iterator[Any]:
    """FastAPI, with the middleware added as its documentation says."""
    app = App(url, sweep=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        async with app:
            yield

    once = app.http_once(owner=lambda scope: dict(scope["headers"]).get(b"x-account", b"").decode(), rules=RULES)
    api = FastAPI(lifespan=lifespan)
    api.add_middleware(AsgiMiddleware, once=once)

    @api.post("/prizes", status_code=201)
    async def prizes(order: Order) -> dict[str, Any]:
        await give(current_tx(), "", order.sku, 1)
        try:
            return issued(order.sku)
        except LookupError as error:
            raise HTTPException(409, "sold out") from error

    @api.get("/prizes/{key}")
    async def find(key: str, request: Request) -> Any:
        status, body = told(await once.find(key, owner=request.headers.get("x-account", "")))
        if status != 200:
            raise HTTPException(status)
        return body

    with served_asgi(api) as address:
        yield address


@contextmanager
def litestar_site(url: str) -> Iterator[Any]:
    """Litestar, wrapped as a whole."""
    app = App(url, sweep=False)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> Any:
        async with app:
            yield

    @post("/prizes")
    async def prizes(data: JSONBody[Order]) -> dict[str, Any]:
        await give(current_tx(), "", data.sku, 1)
        try:
            return issued(data.sku)
        except LookupError as error:
            raise ClientException(status_code=409, detail="sold out") from error

    @get("/prizes/{key:str}")
    async def find(key: FromPath[str]) -> LitestarResponse[dict[str, Any]]:
        status, body = told(await once.find(key))
        return LitestarResponse(body, status_code=status)

    once = app.http_once(owner=None, rules=RULES)
    api = AsgiMiddleware(Litestar([prizes, find], lifespan=[lifespan], openapi_config=None), once=once)
    with served_asgi(api) as address:
        yield address


class Means(NamedTuple):
    """What a blocking App is given as its sessions, and how a route writes through one."""

    session: Any
    write: Callable[[str], Any]


@contextmanager
def plainly(url: str) -> Iterator[Means]:
    """Transactions of tieout's own."""
    yield Means(None, give_plainly)


@contextmanager
def by_sqlalchemy(url: str) -> Iterator[Means]:
    """SQLAlchemy's sessions."""
    scheme, _, rest = url.partition("://")
    driver = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[scheme]
    engine = create_engine(f"{driver}://{rest}", poolclass=NullPool)
    yield Means(sessionmaker(engine), lambda sku: current_tx(Session).execute(text(INSERT.format(sku))))
    engine.dispose()


@contextmanager
def by_connection(url: str) -> Iterator[Means]:
    """Connections of the database's own driver."""
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        with ConnectionPool(url, min_size=0, max_size=8, open=True) as pool:
            yield Means(pool, lambda sku: current_tx(psycopg.Connection).execute(INSERT.format(sku)))
    elif parts.scheme == "mysql":
        address = {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": parts.path[1:]}
        yield Means(partial(pymysql.connect, client_flag=FOUND_ROWS, **address), write_by(pymysql.Connection))
    else:

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)

        yield Means(connect, write_by(sqlite3.Connection))


def write_by(kind: Any) -> Callable[[str], Any]:
    def write(sku: str) -> None:
        with closing(current_tx(kind).cursor()) as cursor:
            cursor.execute(INSERT.format(sku))

    return write


def flask_site(means: Any, url: str) -> Any:
    """Flask, wrapped as its documentation says, on each kind of transaction."""

    @contextmanager
    def site() -> Iterator[Any]:
        service = flask.Flask("shop")
        with means(url) as by, blocking.App(url, session=by.session, sweep=False) as app:
            once = app.http_once(owner=None, rules=RULES)
            service.wsgi_app = WsgiMiddleware(service.wsgi_app, once=once)  # type: ignore[method-assign]  # as Flask wants

            @service.post("/prizes")
            def prizes() -> Any:
                sku = flask.request.get_json()["sku"]
                by.write(sku)
                try:
                    return issued(sku), 201
                except LookupError:
                    flask.abort(409, "sold out")

            @service.get("/prizes/<key>")
            def find(key: str) -> Any:
                status, body = told(once.find(key))
                return body, status

            with served_wsgi(service) as address:
                yield address

    return site()


@cache
def prize_model() -> Any:
    """The effect as Django sees it."""

    class Meta:
        app_label = "tests"
        db_table = "prize"
        managed = False

    fields = {
        "owner": models.CharField(max_length=40, primary_key=True),
        "sku": models.CharField(max_length=40),
        "quantity": models.BigIntegerField(),
        "Meta": Meta,
        "__module__": __name__,
    }
    return type("Prize", (models.Model,), fields)


def set_up_django(urls: dict[str, str]) -> None:
    """Django's settings, with a database for each URL that a test may come to use."""
    pymysql.install_as_MySQLdb()
    databases = {"default": {}} | {name: _for_django(url) for name, url in urls.items()}
    settings.configure(DATABASES=databases, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
    django.setup()


def _for_django(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    engine = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite3"}[parts.scheme]
    found: dict[str, Any] = {"ENGINE": f"django.db.backends.{engine}", "NAME": parts.path[1:]}
    if parts.hostname:
        return found | {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username}
    return found | {"OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"}}


def django_prizes(request: Any) -> JsonResponse:
    """The view: its model writes in the transaction that the middleware has begun."""
    if request.method != "POST":
        return JsonResponse({}, status=405)
    sku = json.loads(request.body)["sku"]
    connection = current_tx(BaseDatabaseWrapper)
    prize_model().objects.using(connection.alias).create(owner="", sku=sku, quantity=1)
    try:
        return JsonResponse(issued(sku), status=201)
    except LookupError:
        return JsonResponse({"detail": "sold out"}, status=409)


def django_find(request: Any, key: str) -> JsonResponse:
    status, body = told(SERVING[0].find(key))
    return JsonResponse(body, status=status)


SERVING: list[Any] = []
urlpatterns = [path("prizes", django_prizes), path("prizes/<key>", django_find)]


@contextmanager
def django_site(name: str, url: str) -> Iterator[Any]:
    """Django, wrapped in its `wsgi.py`."""
    with blocking.App(url, session=partial(transaction.atomic, using=name), sweep=False) as app:
        SERVING[:] = [app.http_once(owner=None, rules=RULES)]
        with served_wsgi(WsgiMiddleware(get_wsgi_application(), once=SERVING[0])) as address:
            yield address


@contextmanager
def served_asgi(application: Any) -> Iterator[str]:
    """Served by uvicorn, in a thread and an event loop of its own."""
    options = {"host": "127.0.0.1", "port": 0, "log_level": "critical", "ws": "none", "lifespan": "on"}
    server = uvicorn.Server(uvicorn.Config(application, **options))
    started, startup = threading.Event(), server.startup

    async def begin(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        started.set()

    server.startup = begin  # type: ignore[method-assign]  # to know when
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(WAITED) and server.started
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(WAITED)
    assert not thread.is_alive()


@contextmanager
def served_wsgi(application: Any) -> Iterator[str]:
    """Served by waitress, in threads."""
    server = waitress.create_server(application, host="127.0.0.1", port=0, threads=8)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.asyncore.loop(timeout=0.02, map=server._map, count=1)  # noqa: SLF001 - `run`, with an end
        server.asyncore.close_all(server._map)  # noqa: SLF001 - connections that clients have kept open, too

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    stopping.set()
    thread.join(WAITED)
    assert not thread.is_alive()
    server.task_dispatcher.shutdown()
