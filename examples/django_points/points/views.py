"""The service over HTTP: its own users redeem points, and a partner grants them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_GET, require_POST

import tieout
from points.models import Account, Visit
from points.redeem import Redeem, app
from tieout import Failed, ProcessView, Succeeded


@require_POST
def redeem(request: HttpRequest) -> HttpResponse:
    """Start the redemption in our own transaction; 200 when it has ended within a second, else 202."""
    wish = json.loads(request.body)
    try:
        with transaction.atomic():
            Visit.objects.create(user=wish["user"], sku=wish["sku"])
            process = app.start(Redeem(**wish), tx=connection)
    except tieout.AlreadyStarted as repeated:
        process = repeated.process
    process = app.wait(process.id, timeout=1)
    return JsonResponse(seen(process), status=200 if process.is_final else 202)


@require_GET
def look(_: HttpRequest, process_id: str) -> HttpResponse:
    """What became of it."""
    return JsonResponse(seen(app.get(process_id)))


@require_GET
def points(_: HttpRequest, user: str) -> HttpResponse:
    """The user's points."""
    return JsonResponse({"points": get_object_or_404(Account, name=user).points})


@require_POST
def called_back(request: HttpRequest) -> HttpResponse:
    """The prize service says what became of a call; 503 asks it to say so again later."""
    if not has_token(request.META, settings.CALLBACK_TOKEN):
        return HttpResponse(status=401)
    told = json.loads(request.body)
    outcome = Failed(told["error"]) if told.get("error") else Succeeded(told["code"])
    return JsonResponse({"effect": app.report(told["key"], outcome)})


@require_POST
def grant(request: HttpRequest) -> HttpResponse:
    """A partner gives a user points, once for each `Idempotency-Key`: the middleware's transaction is Django's own."""
    if not caller(request.META):
        return HttpResponse(status=401)
    given = json.loads(request.body)
    Account.objects.get_or_create(name=given["user"])
    Account.objects.filter(name=given["user"]).update(points=F("points") + given["points"])
    return JsonResponse({"granted": given["points"]}, status=201)


def caller(environ: Mapping[str, Any]) -> str:
    """Who calls, by the token of the request; "" for a stranger."""
    return "partner" if has_token(environ, settings.PARTNER_TOKEN) else ""


def has_token(environ: Mapping[str, Any], token: str) -> bool:
    """Whether a request carries this token."""
    return constant_time_compare(environ.get("HTTP_AUTHORIZATION", ""), f"Bearer {token}")


def seen(process: ProcessView) -> dict[str, Any]:
    """What the caller is shown of a process."""
    return {"id": process.id, "state": process.state, "status": process.status, "result": process.result}
