"""Errors as answers: problem details (RFC 9457) with the codes of the catalogue."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from tieout import errors
from tieout.errors import DatabaseError, InvalidRequest, RateLimited, TieoutError, TooLarge, UnknownPage
from tieout.wire.idempotency_key import HEADER
from tieout.wire.problem import CONTENT_TYPE, problem

log = logging.getLogger("tieout.server")

STATUSES: Mapping[type[TieoutError], int] = {
    errors.InvalidKey: 400,
    errors.InvalidJson: 400,
    errors.InvalidRequest: 400,
    errors.NotAuthenticated: 401,
    errors.LoginFailed: 400,
    errors.Forbidden: 403,
    errors.UnknownProcess: 404,
    errors.UnknownItem: 404,
    errors.UnknownAlarm: 404,
    errors.UnknownBreak: 404,
    errors.UnknownRule: 404,
    errors.UnknownRun: 404,
    errors.UnknownMessage: 404,
    errors.UnknownCall: 404,
    errors.UnknownToken: 404,
    errors.UnknownSession: 404,
    errors.UnknownJob: 404,
    errors.UnknownPage: 404,
    errors.NotAllowed: 409,
    errors.KeyInFlight: 409,
    errors.StaleState: 409,
    errors.KeyRetired: 410,
    errors.TooLarge: 413,
    errors.InvalidParams: 422,
    errors.ParamsChanged: 422,
    errors.Refused: 422,
    errors.RateLimited: 429,
    errors.ProviderUnavailable: 503,
    errors.NewerVersion: 503,
    errors.Overloaded: 503,
    errors.AppClosed: 503,
}
"""The status of each error that a caller may be told; every other one is 500, or 503 when another try may succeed."""

RETRY_AFTER = {404: "30", 503: "1"}
"""Seconds after which to try again: reports of calls that are not known yet, and servers that cannot answer now."""


_QUOTED = re.compile(r"(?<=enum value) '.*?'(?= - at|;|$)|(?<=unknown field) `.*?`(?= - at|;|$)", re.DOTALL)


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused. `code` is stable and for machines, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class Refusal(msgspec.Struct, frozen=True):
    """The answer to a request that failed."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(error: Exception, documentation: str = "", status: int | None = None) -> Refusal:
    """What a caller is told of an error, which is nothing that it need not know."""
    status = status or status_of(error)
    headers = {"content-type": CONTENT_TYPE}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers["retry-after"] = str(max(1, round(error.retry_after + 0.5)))
    elif status == 503 or isinstance(error, errors.UnknownCall):
        headers["retry-after"] = RETRY_AFTER.get(status, "1")
    code = error.code if isinstance(error, TieoutError) else TieoutError.code
    return Refusal(status, headers, problem(status, code, _detail(error, status), documentation))


def status_of(error: Exception) -> int:
    """The status that an error is answered with."""
    if isinstance(error, DatabaseError):
        return 503 if error.retryable else 500
    return STATUSES.get(type(error), 500) if isinstance(error, TieoutError) else 500


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's handler of exceptions."""
    site = request.app.state["site"]
    if isinstance(error, HTTPException):
        told = refusal(_ours(error, _takes(request)), site.settings.documentation, error.status_code)
        headers = {**(error.headers or {}), **told.headers}
    else:
        told = refusal(error, site.settings.documentation)
        headers = told.headers
        if told.status == 500:
            log.error("%s %s failed", request.method, request.scope.get("path_template", ""), exc_info=error)
    return Response(told.body, status_code=told.status, headers=headers, media_type=CONTENT_TYPE)


def _takes(request: Request[Any, Any, Any]) -> list[str]:
    """The params of the type that a request was to start a process of."""
    handler = request.scope.get("route_handler")
    takes: list[str] = [] if handler is None else handler.opt.get("takes", [])
    return takes


def _ours(error: HTTPException, takes: list[str]) -> TieoutError:
    """A refusal of Litestar's own, in the words of the catalogue; what the caller sent is not repeated."""
    if error.status_code in (404, 405):
        return UnknownPage("there is nothing at this address, or not for this method: see /v1/openapi.json")
    if error.status_code == 413:
        return TooLarge("the body is too long")
    fields = [one for one in error.extra if isinstance(one, dict)] if isinstance(error.extra, list) else []
    named = "; ".join(f"{one.get('key', one.get('source', 'body'))}: {one.get('message', 'invalid')}" for one in fields)
    if takes and "unknown field" in named:
        named += f"; the params are {', '.join(takes)}, and the key stands in the header {HEADER}"
    return InvalidRequest(without_values(named) or "the request is not as the description of the API says")


def _detail(error: Exception, status: int) -> str:
    if isinstance(error, DatabaseError):
        return "the database cannot answer now: repeat the same request" if status == 503 else "the database failed"
    if status == 500:
        return "this failed, and has been written down with the request's id"
    return without_values(str(error))


def without_values(text: str) -> str:
    """A decoder's message without what it quotes of the request: that may be what nobody shall read."""
    return _QUOTED.sub("", text)
