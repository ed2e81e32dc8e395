"""Each framework as it is served: real servers, real connections, one effect for each key."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connections, transaction

from tests.once.sites import (
    by_connection,
    by_sqlalchemy,
    django_site,
    fastapi_site,
    flask_site,
    litestar_site,
    plainly,
    set_up_django,
)
from tests.once.wsgi_web import Till, call, environ_of
from tieout import Absent, Answered, blocking
from tieout.once.wsgi import IdempotencyMiddleware as WsgiMiddleware

FRAMEWORKS = {
    "fastapi": fastapi_site,
    "litestar": litestar_site,
    "flask": partial(flask_site, plainly),
    "flask-sqlalchemy": partial(flask_site, by_sqlalchemy),
    "flask-driver": partial(flask_site, by_connection),
    "django": None,
}
DATABASES = ("sqlite", "postgres", "mariadb")


@pytest.fixture(scope="session")
def urls(postgres_url: str, mariadb_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A database of each kind; Django knows them by the same names."""
    found = {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('served')}/once.db"}
    found |= {"postgres": postgres_url, "mariadb": mariadb_url}
    set_up_django(found)
    return found


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def till(kind: str, urls: dict[str, str]) -> Iterator[Till]:
    till = Till(urls[kind])
    till.prepare()
    yield till
    till.close()


@pytest.fixture(params=FRAMEWORKS)
def client(request: pytest.FixtureRequest, kind: str, till: Till) -> Iterator[httpx.Client]:
    """A client of a service in this framework."""
    made = FRAMEWORKS[request.param]
    site: Any = django_site(kind, till.url) if made is None else made(till.url)
    # A server closes the connection of a route that raised: none is kept, or the next request may find it closing.
    alone = httpx.Limits(max_keepalive_connections=0)
    with site as address, httpx.Client(base_url=address, timeout=30, limits=alone) as client:
        yield client


def send(client: httpx.Client, key: str | None, sku: str = "mug", path: str = "/prizes") -> httpx.Response:
    return client.post(path, json={"sku": sku}, headers={} if key is None else {"idempotency-key": key})


def test_a_repetition_gets_the_first_response(client: httpx.Client, till: Till) -> None:
    """Written in the request's transaction, answered once, replayed after that; a query by key finds the answer."""
    first, again = send(client, '"k1"'), send(client, '"k1"')
    assert (first.status_code, first.json(), first.headers.get("idempotency-replayed")) == (
        201,
        {"code": "mug-1"},
        None,
    )
    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert (till.effects, till.answers) == (1, 1)
    assert client.get("/prizes/k1").json() == {"status": 201}
    assert client.get("/prizes/k2").status_code == 404


def test_refusals_and_bugs(client: httpx.Client, till: Till) -> None:
    """A refusal rolls back and is given again; a bug is the framework's 500, rolls back, and leaves the key free."""
    refused = [send(client, "k1", "none") for _ in range(2)]
    assert [answer.status_code for answer in refused] == [409, 409]
    assert (refused[0].content, refused[1].headers["idempotency-replayed"]) == (refused[1].content, "true")
    for _ in range(2):
        assert send(client, "k2", "broken").status_code == 500
    assert (till.effects, till.answers) == (0, 1)
    assert (send(client, "k2").status_code, till.effects) == (201, 1)


def test_the_codes_of_the_draft(client: httpx.Client, till: Till) -> None:
    """400 without a key, 422 with one of another request, as problems; what is not covered is the framework's alone."""
    send(client, "k1")
    for answer, status, code in (
        (send(client, None), 400, "invalid-key"),
        (send(client, "a, b"), 400, "invalid-key"),
        (send(client, "k1", "pen"), 422, "params-changed"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
    assert send(client, None, path="/other").status_code == 404
    assert till.effects == 1


def test_duplicates_at_once_have_one_effect(client: httpx.Client, till: Till) -> None:
    """Sixteen requests with one key over as many connections: one effect, one response for all."""
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda _: send(client, "k1"), range(16)))
    assert {(reply.status_code, reply.content) for reply in replies} == {(201, replies[0].content)}
    assert ["idempotency-replayed" in reply.headers for reply in replies].count(False) == 1
    assert (till.effects, till.answers) == (1, 1)


def test_a_body_in_chunks(client: httpx.Client, till: Till) -> None:
    """A request whose length is not stated is the same as one whose length is."""
    fields = {"idempotency-key": "k1", "content-type": "application/json"}
    first = client.post("/prizes", content=iter([b'{"sku"', b':"mug"}']), headers=fields)
    again = client.post("/prizes", content=b'{"sku":"mug"}', headers=fields)
    assert (first.status_code, again.headers["idempotency-replayed"], till.effects) == (201, "true", 1)


@pytest.mark.parametrize("kind", DATABASES)
def test_django_keeps_its_connection_and_no_lock_on_it(till: Till, kind: str) -> None:
    """Over requests that succeed, fail and are refused, with a connection that persists, keys are free elsewhere.

    A lock of the user's own, on the same connection, is left alone.
    """
    connection = connections[kind]
    connection.settings_dict["CONN_MAX_AGE"] = 60
    lock = {"mariadb": "SELECT GET_LOCK('mine', 0)", "postgres": "SELECT pg_advisory_lock(7)"}.get(kind, "SELECT 1")
    with blocking.App(till.url, session=partial(transaction.atomic, using=kind), sweep=False) as app:
        with connection.cursor() as cursor:
            cursor.execute(lock)
        application = WsgiMiddleware(get_wsgi_application(), once=app.http_once(owner=None))
        driver = connection.connection
        for key, sku, status in (("k1", "broken", 500), ("k2", "none", 409), ("k3", "mug", 201), ("k3", "mug", 201)):
            data = f'{{"sku": "{sku}"}}'.encode()
            answer = call(application, environ_of("POST", "/prizes", data) | {"HTTP_IDEMPOTENCY_KEY": key})
            assert (answer.status, connection.connection is driver, connection.in_atomic_block) == (status, True, False)
        elsewhere = till.open().http_once(owner=None)
        found = [elsewhere.find(key) for key in ("k1", "k2", "k3")]
        assert [type(one) for one in found] == [Absent, Answered, Answered]
        if kind != "sqlite":
            held = {"mariadb": "SELECT IS_USED_LOCK('mine')", "postgres": "SELECT pid FROM pg_locks WHERE objid = 7"}
            assert till.app.database.read(lambda tx: tx.fetch_one(held[kind]))[0] is not None
    connection.settings_dict["CONN_MAX_AGE"] = 0
    connection.close()
    assert till.effects == 1
