"""A points service: Flask in front, psycopg behind, another company's prize service on the far side, and a partner."""

from __future__ import annotations

import atexit
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg
from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from psycopg_pool import ConnectionPool
from redeem import Prizes, Redeem

import tieout
from tieout import Failed, HttpRules, ProcessView, Succeeded, blocking, current_tx
from tieout.once.wsgi import IdempotencyMiddleware

CALLBACK_TOKEN = os.environ.get("CALLBACK_TOKEN", "a secret that the prize service shares")
PARTNER_TOKEN = os.environ.get("PARTNER_TOKEN", "a secret that the partner shares")
RETRY_LATER = (tieout.UnknownCall, tieout.NewerVersion, tieout.Overloaded)
CONFLICT = (tieout.Refused, tieout.KeyRetired)


def create_app(database_url: str | None = None, http: httpx.Client | None = None) -> Flask:
    """The service, open: made in each worker process, as gunicorn does with `service:create_app()`."""
    database_url = database_url or os.environ["POINTS_DB"]
    http = http or httpx.Client(base_url=os.environ.get("PRIZES_URL", "https://prizes.example"))
    pool = ConnectionPool(database_url, min_size=1, max_size=16, open=True)
    atexit.register(pool.close)
    with pool.connection() as connection:
        connection.execute(Path(__file__).with_name("schema.sql").read_text())

    points_app = blocking.App(database_url, session=pool, deps=Prizes(http), migrate=True)
    points_app.register(Redeem)
    atexit.register(points_app.__enter__().close)

    service = Flask(__name__)
    service.extensions["tieout"] = points_app
    once = points_app.http_once(owner=caller, rules=HttpRules(paths=("/grants",), wait="2s"))
    service.wsgi_app = IdempotencyMiddleware(service.wsgi_app, once=once)
    add_routes(service, points_app, pool)
    service.register_error_handler(tieout.TieoutError, refuse)
    service.register_error_handler(psycopg.OperationalError, lose)
    return service


def add_routes(service: Flask, points_app: blocking.App, pool: ConnectionPool) -> None:
    """What the service answers."""

    @service.post("/redemptions")
    def redeem() -> ResponseReturnValue:
        """Start the redemption in our own transaction; 200 when it has ended within a second, else 202."""
        wish = request.get_json()
        try:
            with pool.connection() as connection:
                connection.execute("INSERT INTO visit (customer, sku) VALUES (%(user)s, %(sku)s)", wish)
                process = points_app.start(Redeem(**wish), tx=connection)
            points_app.nudge(process.id)
        except tieout.AlreadyStarted as repeated:
            process = repeated.process
        process = points_app.wait(process.id, timeout=1)
        return seen(process), 200 if process.is_final else 202

    @service.get("/redemptions/<process_id>")
    def look(process_id: str) -> ResponseReturnValue:
        """What became of it."""
        return seen(points_app.get(process_id))

    @service.get("/accounts/<user>")
    def points(user: str) -> ResponseReturnValue:
        """The user's points."""
        with pool.connection() as connection:
            found = connection.execute("SELECT points FROM account WHERE name = %s", [user]).fetchone()
        return {"points": found[0]} if found else abort(404)

    @service.post("/callbacks/prizes")
    def called_back() -> ResponseReturnValue:
        """The prize service says what became of a call; 503 asks it to say so again later."""
        if not has_token(request.environ, CALLBACK_TOKEN):
            abort(401)
        told = request.get_json()
        outcome = Failed(told["error"]) if told.get("error") else Succeeded(told["code"])
        return {"effect": points_app.report(told["key"], outcome)}

    @service.post("/grants")
    def grant() -> ResponseReturnValue:
        """A partner gives a user points, once for each `Idempotency-Key`."""
        if not caller(request.environ):
            abort(401)
        given = request.get_json()
        current_tx(psycopg.Connection).execute(
            "INSERT INTO account (name, points) VALUES (%(user)s, %(points)s)"
            " ON CONFLICT (name) DO UPDATE SET points = account.points + excluded.points",
            given,
        )
        return {"granted": given["points"]}, 201


def caller(environ: Mapping[str, Any]) -> str:
    """Who calls, by the token of the request; "" for a stranger."""
    return "partner" if has_token(environ, PARTNER_TOKEN) else ""


def has_token(environ: Mapping[str, Any], token: str) -> bool:
    """Whether a request carries this token."""
    return hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), f"Bearer {token}".encode())


def refuse(error: tieout.TieoutError) -> ResponseReturnValue:
    """Each error as an answer; its code never changes its meaning."""
    status = status_of(error)
    return jsonify(code=error.code, detail=str(error)), status, {"Retry-After": "1"} if status == 503 else {}


def lose(error: psycopg.OperationalError) -> ResponseReturnValue:
    """Our own transaction lost the database, perhaps in its COMMIT: the same request again finds what was done."""
    return jsonify(code=tieout.CommitUnknown.code, detail=str(error)), 503, {"Retry-After": "1"}


def status_of(error: tieout.TieoutError) -> int:
    """The HTTP status of an error."""
    match error:
        case tieout.DatabaseError(retryable=True):
            return 503
        case tieout.UnknownProcess():
            return 404
        case tieout.RequestError() if isinstance(error, RETRY_LATER):
            return 503
        case tieout.RequestError() if isinstance(error, CONFLICT):
            return 409
        case tieout.RequestError():
            return 422
        case _:
            return 500


def seen(process: ProcessView) -> dict[str, Any]:
    """What the caller is shown of a process."""
    return {"id": process.id, "state": process.state, "status": process.status, "result": process.result}
