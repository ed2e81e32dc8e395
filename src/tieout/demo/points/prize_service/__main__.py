"""Serve it: `python -m prize_service --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

from aiohttp import web

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .prizes import PrizeService
from .routes import Routes
from .store import open_store
from .telling import Callbacks, Messages, Way

SECRET = "PRIZES_SECRET"  # noqa: S105 - the variable's name


async def application(
    service: PrizeService, *, tied: bool, around: AbstractAsyncContextManager[Any] | None = None
) -> web.Application:
    """The service, ready to be served, inside a context of its own.

    When it is `tied`, it dies as soon as whoever holds its standard input is gone.
    """
    if tied:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    await service.load_plan()
    routes = Routes(service)
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes([web.post("/prizes", routes.issue), web.get("/prizes/{key}", routes.find)])
    app.add_routes([web.post("/plan", routes.plan), web.get("/status", routes.status)])

    async def background(_: web.Application) -> AsyncIterator[None]:
        async with around or nullcontext():
            calling = asyncio.create_task(service.call_back())
            yield
            calling.cancel()

    app.cleanup_ctx.append(background)
    return app


def arguments() -> argparse.Namespace:
    """What was said on the command line."""
    parser = argparse.ArgumentParser(description="A prize service that fails on purpose.")
    parser.add_argument("--db", required=True, help="a file for SQLite, postgresql://… or mysql://…")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--callback", required=True, help="the URL below which a call is told what became of it")
    parser.add_argument("--broker", default="", help="amqp://…: half of what is told goes through it instead")
    parser.add_argument("--queue", default="prize-results", help="the queue that it is told to")
    parser.add_argument("--conflict-log", required=True, type=Path)
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def ways(said: argparse.Namespace) -> dict[str, Way]:
    """How it tells what became of prizes; what it calls back is signed with the key in PRIZES_SECRET."""
    chosen: dict[str, Way] = {"callback": Callbacks(said.callback, os.environ[SECRET])}
    if said.broker:
        chosen["message"] = Messages(said.broker, said.queue)
    return chosen


def serve(app: Coroutine[Any, Any, web.Application], port: int) -> None:
    """Serve until SIGTERM."""
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, reuse_address=True)


async def by_hand(said: argparse.Namespace) -> web.Application:
    """The edition that keeps by itself from issuing twice."""
    service = PrizeService(await open_store(said.db, unique=True), ways(said), said.conflict_log)
    return await application(service, tied=said.tied)


if __name__ == "__main__":
    said = arguments()
    serve(by_hand(said), said.port)
