"""The points mall: its routes over HTTP, tieout inside its lifespan, the page of its shop, and its API beside it.

    POST /redeem {request_id, user, sku, quantity}   200 final, 202 running or held; the same request again: the same
                                                     without request_id, it is the Idempotency-Key
    GET  /redeem/{id}                                where it stands; `Prefer: wait=10` waits until it is final

Errors are problem details with a `code` and a `detail`: 400 bad request, 409 the key was used with other params, 422
refused, 404 unknown, 413 too large, 503 try again later. What the prize service calls back, signed, comes to the
API, on a port of its own; what it tells by messages comes from the broker.

Run it as `python -m tieout.demo.points.mall --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

import msgspec
from aiohttp import ClientSession, TCPConnector, web

import tieout
from tieout import App, ProcessView, Transaction
from tieout.demo.points.reached import CHANNEL, Api, channels
from tieout.demo.points.redeem import CATALOGUE, PrizeClient, Redeem, Shop, parse_claim
from tieout.demo.points.shopfront import VISITOR, VISITOR_POINTS, Shopfront

WAIT_SECONDS = 1.0
"""How long a request waits for its final result before it is told that it is running."""

WAIT = re.compile(r"wait=(\d{1,4})")
LONGEST_WAIT = 10
"""What a look at a process may ask for by `Prefer`, in seconds."""

BODY_BYTES = 16 * 1024
OUTGOING_CONNECTIONS = 100
MANY_POINTS = 100_000_000
FEW_POINTS = 500
POOR_EVERY = 10
"""Every tenth user has few points."""

TABLES = (
    "CREATE TABLE account (name VARCHAR(40) PRIMARY KEY, granted BIGINT NOT NULL, points BIGINT NOT NULL)",
    # No unique key: if a step ever ran twice, the auditor must be able to see it.
    """CREATE TABLE points_change (
        id VARCHAR(32) NOT NULL, account VARCHAR(40) NOT NULL, delta BIGINT NOT NULL, reason VARCHAR(10) NOT NULL
    )""",
    """CREATE TABLE redemption (
        order_key VARCHAR(255) NOT NULL, account VARCHAR(40) NOT NULL, sku VARCHAR(40) NOT NULL,
        quantity BIGINT NOT NULL, state VARCHAR(10) NOT NULL, completed_at BIGINT
    )""",
    "CREATE INDEX redemption_key ON redemption (order_key)",
    "CREATE TABLE catalogue (sku VARCHAR(40) PRIMARY KEY, price BIGINT NOT NULL)",
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /redeem`."""

    user: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,40}\Z")]
    sku: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=100)]
    request_id: str | None = None


def user_name(number: int) -> str:
    """The name of a user's account."""
    return f"user-{number:05d}"


def is_poor(number: int) -> bool:
    """Whether this user has so few points that most of its requests are refused."""
    return number % POOR_EVERY == 0


async def open_accounts(db: str, users: int) -> None:
    """Create the mall's tables and tieout's, and grant the users their points."""

    async def work(tx: Transaction) -> None:
        for table in TABLES:
            await tx.execute(table)
        sql = "INSERT INTO account (name, granted, points) VALUES (:name, :points, :points)"
        points = (FEW_POINTS if is_poor(n) else MANY_POINTS for n in range(users))
        await tx.execute_many(sql, [{"name": user_name(n), "points": few} for n, few in enumerate(points)])
        await tx.execute(sql, name=VISITOR, points=VISITOR_POINTS)
        for sku, price in CATALOGUE.items():
            await tx.execute("INSERT INTO catalogue (sku, price) VALUES (:sku, :price)", sku=sku, price=price)

    async with App(db, sweep=False, migrate=True) as app:
        await app.database.transact(work)


class Routes:
    """The mall over HTTP."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def redeem(self, request: web.Request) -> web.Response:
        order = msgspec.convert(parse_claim(await request.read()), Order)
        key = request.headers.get("Idempotency-Key", "").strip('"') if order.request_id is None else order.request_id
        process = Redeem(request_id=key, user=order.user, sku=order.sku, quantity=order.quantity)
        return _told(await self._app.start(process, wait=WAIT_SECONDS))

    async def show(self, request: web.Request) -> web.Response:
        wait = WAIT.fullmatch(request.headers.get("Prefer", ""))
        return _told(await self._app.wait(request.match_info["id"], min(int(wait[1]), LONGEST_WAIT) if wait else 0))


def _told(view: ProcessView) -> web.Response:
    body = {"id": view.id, "state": view.state, "status": view.status, "result": view.result, "replayed": view.replayed}
    status = 200 if view.status == "final" else 202
    location = {"Location": f"/redeem/{view.id}"}
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json", headers=location
    )


def _error(status: int, code: str, detail: object) -> web.Response:
    headers = {"Retry-After": "1"} if status == 503 else {}
    body = {"title": code, "status": status, "code": code, "detail": str(detail)}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


@web.middleware
async def errors_as_codes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error of tieout as a status and its stable code."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as error:
        return _error(413, "too-large", error.text)
    except msgspec.ValidationError as error:
        return _error(400, "invalid-params", error)
    except (tieout.InvalidKey, tieout.InvalidParams) as error:
        return _error(400, error.code, error)
    except (tieout.ParamsChanged, tieout.KeyRetired) as error:
        return _error(409, error.code, error)
    except tieout.Refused as error:
        return _error(422, error.code, error)
    except tieout.UnknownProcess as error:
        return _error(404, error.code, error)
    except tieout.DatabaseError as error:
        return _error(503 if error.retryable else 500, error.code, error)
    except tieout.RequestError as error:  # overloaded, newer code elsewhere, a call not known yet: later
        return _error(503, error.code, error)


async def application(said: argparse.Namespace) -> web.Application:
    """The mall, ready to be served; when `tied`, it dies as soon as whoever holds its standard input is gone."""
    if said.tied:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    http = ClientSession(connector=TCPConnector(limit=OUTGOING_CONNECTIONS))
    app = App(said.db, deps=Shop(CATALOGUE, PrizeClient(http, said.prizes)), channels=channels(said.broker))
    app.register(Redeem)
    if said.broker:
        app.consume_reports(f"{CHANNEL}/{said.queue}")
    routes, api = Routes(app), Api(app, said.api_port)
    service = web.Application(client_max_size=BODY_BYTES, middlewares=[errors_as_codes])
    service.add_routes([web.post("/redeem", routes.redeem), web.get("/redeem/{id}", routes.show)])
    service.add_routes(Shopfront(app, api.url).routes())

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        async with http, app, api:
            yield

    service.cleanup_ctx.append(lifespan)
    return service


def arguments() -> argparse.Namespace:
    """What was said on the command line."""
    parser = argparse.ArgumentParser(description="A mall that exchanges points for prizes.")
    parser.add_argument("--db", required=True, help="sqlite:///…, postgresql://… or mysql://…")
    parser.add_argument("--open-accounts", type=int, metavar="USERS", help="make the tables and accounts, and end")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--api-port", type=int, default=0, help="where the API is served; 0: nowhere")
    parser.add_argument("--prizes", default="http://127.0.0.1:8081", help="the URL of the prize service")
    parser.add_argument("--broker", default="", help="amqp://…, whose queue tells what became of prizes")
    parser.add_argument("--queue", default="prize-results", help="that queue")
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM, or only open the accounts."""
    said = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if said.open_accounts is not None:
        asyncio.run(open_accounts(said.db, said.open_accounts))
        return
    web.run_app(application(said), host="127.0.0.1", port=said.port, print=None, access_log=None, reuse_address=True)


if __name__ == "__main__":
    main()
