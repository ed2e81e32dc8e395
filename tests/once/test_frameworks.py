"""The middleware around FastAPI, Starlette and Litestar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from litestar import Litestar, post
from litestar import Request as LitestarRequest
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import ClientException
from litestar.response import Response
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from tests.once.place import Place, answers, effects, give
from tests.once.web import Client
from tieout import App, HttpOnce, HttpRules, current_tx
from tieout.once.asgi import IdempotencyMiddleware

RULES = HttpRules(paths=("/prizes*",), wait="10s")


class Order(BaseModel):
    """What FastAPI reads."""

    sku: str
    quantity: int = 1


async def issue(order: dict[str, Any], told: list[str]) -> dict[str, Any]:
    """The route's business: write, then perhaps refuse."""
    await give(current_tx(), "", order["sku"], order.get("quantity", 1))
    await asyncio.sleep(0)
    if order["sku"] == "none":
        raise LookupError
    return {"code": f"{order['sku']}-{len(told)}"}


def fastapi_service(once: HttpOnce, told: list[str]) -> Any:
    """FastAPI, with the middleware added as its documentation says."""
    service = FastAPI()
    service.add_middleware(IdempotencyMiddleware, once=once)

    @service.post("/prizes", status_code=201)
    async def prizes(order: Order, background: BackgroundTasks) -> Any:
        background.add_task(told.append, order.sku)
        try:
            return await issue(order.model_dump(), told)
        except LookupError as error:
            raise HTTPException(409, "sold out") from error

    return service


def starlette_service(once: HttpOnce, told: list[str]) -> Any:
    """Starlette, with a middleware of its own style inside, and a response in parts."""

    async def prizes(request: Request) -> Any:
        try:
            code = (await issue(await request.json(), told))["code"]
        except LookupError:
            return JSONResponse("sold out", 409)
        told.append(code)
        return StreamingResponse(iter(['{"code":', f'"{code}"', "}"]), 201, media_type="application/json")

    async def passes_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    service = Starlette(routes=[Route("/prizes", prizes, methods=["POST"])])
    service.add_middleware(BaseHTTPMiddleware, dispatch=passes_on)
    service.add_middleware(IdempotencyMiddleware, once=once)
    return service


def litestar_service(once: HttpOnce, told: list[str]) -> Any:
    """Litestar, wrapped as a whole."""

    @post("/prizes")
    async def prizes(request: LitestarRequest[Any, Any, Any]) -> Response[dict[str, Any]]:
        order = await request.json()
        try:
            answer = await issue(order, told)
        except LookupError as error:
            raise ClientException(status_code=409, detail="sold out") from error
        return Response(answer, background=BackgroundTask(tell, order["sku"]))

    async def tell(sku: str) -> None:
        told.append(sku)

    return IdempotencyMiddleware(Litestar([prizes], openapi_config=None), once=once)


SERVICES = [fastapi_service, starlette_service, litestar_service]


async def served(place: Place, service: Callable[[HttpOnce, list[str]], Any]) -> tuple[App, Client, list[str]]:
    """An App, a client of the service on it, and what its background tasks were told."""
    app, told = await place.open(), []
    return app, Client(service(app.http_once(owner=None, rules=RULES), told)), told


@pytest.mark.parametrize("service", SERVICES)
async def test_a_repetition_gets_the_first_response(place: Place, service: Any) -> None:
    """Read by the framework's own means, written in the request's transaction, answered once, replayed after that."""
    app, client, told = await served(place, service)
    first = await client.send('"k1"', {"sku": "mug", "quantity": 2})
    again = await client.send('"k1"', {"sku": "mug", "quantity": 2})
    assert (first.status, first.json, first.replayed) == (201, {"code": "mug-0"}, False)
    assert (again.status, again.body, again.replayed) == (201, first.body, True)
    assert (await effects(app), await answers(app), len(told)) == (1, 1, 1)


@pytest.mark.parametrize("service", SERVICES)
async def test_refusals_in_the_frameworks_own_way(place: Place, service: Any) -> None:
    """A refusal that the framework makes of an exception rolls back what the route wrote, and is given again."""
    app, client, told = await served(place, service)
    replies = [await client.send("k1", {"sku": "none"}) for _ in range(2)]
    assert [(reply.status, reply.replayed) for reply in replies] == [(409, False), (409, True)]
    assert replies[0].body == replies[1].body
    assert (await effects(app), await answers(app), told) == (0, 1, [])


@pytest.mark.parametrize("service", SERVICES)
async def test_duplicates_at_once_have_one_effect(place: Place, service: Any) -> None:
    """Thirty requests with one key at the same time: one effect, one response for all."""
    app, client, _ = await served(place, service)
    replies = await asyncio.gather(*(client.send("k1", {"sku": "mug"}) for _ in range(30)))
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert await effects(app) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_problems_and_other_paths(place: Place, service: Any) -> None:
    """The codes are those of the draft; what is not covered is the framework's alone."""
    _, client, _ = await served(place, service)
    assert (await client.send(None)).code == "invalid-key"
    await client.send("k1")
    assert (await client.send("k1", {"sku": "pen"})).code == "params-changed"
    assert (await client.send("k1", path="/other")).status == 404
