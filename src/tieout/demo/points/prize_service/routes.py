"""The business over HTTP, with the manners that the plan wants."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import web

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .plan import check
from .prizes import BusyError, KeyReusedError, Order, PrizeService, claim, message

SLOW_SECONDS = (1.2, 2.4)
"""How long a slow answer takes: longer than any caller of this demo waits."""

GARBAGE = (
    ("text/html", "<!doctype html><title>Sign in</title><form action=/login>Your session has ended"),
    ("application/json", '{"key": "'),
    ("application/json", '{"status": "SUCCEEDED", "status": "FAILED"}'),
    ("application/json", '{"status": "ALMOST", "code": "?"}'),
    ("application/json", ""),
)


class Routes:
    """The business over HTTP, with the manners that the plan wants."""

    def __init__(self, service: PrizeService) -> None:
        self._service = service

    async def issue(self, request: web.Request) -> web.StreamResponse:
        order = await _order(request)
        manner = self._manner("answer", order.key)
        if manner == "lost":
            return _hang_up(request)
        if manner == "tardy":
            await self._dawdle(order.key)
        try:
            prize = await self._service.issue(order, pending=manner == "pending")
        except KeyReusedError:
            return web.json_response({"status": "KEY_REUSED"}, status=409)
        except BusyError:
            return _busy()
        return await self._answer(request, manner, prize)

    async def find(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        manner = self._manner("query", key)
        try:
            prize = await self._service.find(key)
        except BusyError:
            return _busy()
        if prize is None or (manner == "hidden" and time.time() < prize["created"] + 1.0):
            return web.json_response({"key": key, "status": "NOT_FOUND"}, status=404)
        return await self._answer(request, manner, prize)

    async def plan(self, request: web.Request) -> web.Response:
        try:
            await self._service.keep_plan(await request.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({})

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response(await self._service.status())

    def _manner(self, aspect: str, key: str) -> str:
        self._service.attempts[aspect, key] += 1
        return self._service.plan.behaviour(aspect, key, self._service.attempts[aspect, key])

    async def _dawdle(self, key: str) -> None:
        await asyncio.sleep(self._service.plan.between(SLOW_SECONDS, key))

    async def _answer(self, request: web.Request, manner: str, prize: Any) -> web.StreamResponse:
        if manner == "slow":
            await self._dawdle(prize["order_key"])
        if manner == "error":
            return web.json_response({"error": "internal"}, status=500)
        if manner == "silent":
            return _hang_up(request)
        if manner == "garbage":
            kind, text = GARBAGE[int(self._service.plan.dice("garbage", prize["order_key"]) * len(GARBAGE))]
            return web.Response(text=text, content_type=kind)
        status = claim(prize)
        return web.json_response(message(prize, status), status=202 if status == "PENDING" else 200)


async def _order(request: web.Request) -> Order:
    try:
        body = await request.json()
        order = Order(body["key"], body["sku"], body["quantity"])
        check(isinstance(order.key, str) and 0 < len(order.key) <= 200, "key is 1 to 200 characters")
        check(isinstance(order.sku, str) and 0 < len(order.sku) <= 64, "sku is 1 to 64 characters")
        check(type(order.quantity) is int and 1 <= order.quantity <= 1_000, "quantity is 1 to 1000")
    except (ValueError, KeyError, TypeError) as error:
        raise web.HTTPBadRequest(text=json.dumps({"error": str(error)}), content_type="application/json") from error
    return order


def _busy() -> web.Response:
    return web.json_response({"status": "BUSY"}, status=503, headers={"Retry-After": "1"})


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
