"""The API inside FastAPI, Starlette and Django, at any prefix; and alone, where it opens its App by itself."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

import tieout
from tests.server.node import migrate
from tieout.access import Tokens
from tieout.server import Settings, asgi

HERE = Path(__file__).parent


def fastapi(app: tieout.App) -> Any:
    """FastAPI, with a route of its own beside the API."""
    site = FastAPI()
    site.mount("/shop/api", asgi(app))

    @site.get("/shop/hello")
    async def hello() -> str:
        return "hello"

    return site


def starlette(app: tieout.App) -> Any:
    """Starlette, two mounts deep."""
    inner = Starlette(routes=[Mount("/api", asgi(app))])
    return Starlette(routes=[Mount("/shop", inner)])


def django(app: tieout.App) -> Any:
    """Django, by path: it neither mounts nor tells of its beginning."""
    if not django_settings.configured:
        django_settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    rest, api = get_asgi_application(), asgi(app, prefix="/shop/api")

    async def site(scope: Any, receive: Any, send: Any) -> None:
        await (api if scope["path"].startswith("/shop/api") else rest)(scope, receive, send)

    return site


def alone(app: tieout.App) -> Any:
    """By itself, at a prefix of its own."""
    return asgi(app, Settings(prefix="/shop/api"))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The shop's module, on a database of this test's."""
    monkeypatch.setenv("SHOP_DB", migrate(f"sqlite:///{tmp_path}/shop.db"))
    spec = importlib.util.spec_from_file_location("mounted_shop", HERE / "shop.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mounted_shop", module)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def caller(app: tieout.App, site: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client's calls of the site."""
    tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
    made = await tokens.create("c", ("client",), lifetime=10**9, actor="tests", reason="a test")
    headers = {"Authorization": f"Bearer {made.text}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(site), base_url="http://testserver", headers=headers
    ) as http:
        yield http


@pytest.mark.parametrize("host", [fastapi, starlette, django, alone])
async def test_the_api_works_below_a_prefix(shop, host):
    """Starting, `Location`, reading, problems, the description and its viewer, all below the prefix."""
    async with shop.app, caller(shop.app, host(shop.app)) as http:
        answer = await http.post(
            "/shop/api/v1/types/redeem/processes",
            json={"user": "bob"},
            headers={"Idempotency-Key": "k", "Prefer": "wait=10"},
        )
        assert (answer.status_code, answer.json()["state"]) == (201, "completed")
        where = answer.headers["location"]
        assert where.startswith("/shop/api/v1/processes/")
        assert (await http.get(where)).json()["id"] == answer.json()["id"]
        types = (await http.get("/shop/api/v1/types")).json()
        assert types[0]["start"].startswith("/shop/api/")
        assert (await http.get("/shop/api/v1/nothing")).json()["code"] == "unknown-page"
        assert (await http.get("/shop/api/v1/openapi.json")).json()["servers"] == [{"url": "/shop/api"}]
        assert 'src="/shop/api/v1/docs/viewer.js"' in (await http.get("/shop/api/v1/docs")).text
        assert (await http.get("/shop/api/v1/docs/viewer.js")).status_code == 200


async def test_a_host_keeps_its_own_routes(shop):
    """What is not below the mount is the host's."""
    async with shop.app, caller(shop.app, fastapi(shop.app)) as http:
        assert (await http.get("/shop/hello")).json() == "hello"


async def test_a_host_that_has_not_opened_the_app_is_told(shop):
    """503 with the code of an App that is not open, instead of an error of the inside."""
    async with shop.app, caller(shop.app, fastapi(shop.app)) as http:
        await http.get("/shop/api/v1/me")
        await shop.app.close()
        answer = await http.post(
            "/shop/api/v1/types/redeem/processes", json={"user": "bob"}, headers={"Idempotency-Key": "k"}
        )
    assert answer.status_code in (500, 503)
    assert answer.json()["code"] in ("app-closed", "database-unavailable")


async def test_alone_it_opens_its_app(shop):
    """Served by itself, the App is opened when the server begins and closed when it ends."""
    site, said = asgi(shop.app), []
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        event = next(events)
        if event["type"] == "lifespan.shutdown":
            assert shop.app.worker.in_flight == 0
        return event

    async def send(message: Any) -> None:
        said.append(message["type"])

    await site({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(tieout.AppClosed):
        _ = shop.app.worker
