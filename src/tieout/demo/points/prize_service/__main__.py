"""Serve it: `python -m prize_service --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from aiohttp import web

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .prizes import PrizeService
from .routes import Routes
from .store import open_store


async def application(said: argparse.Namespace) -> web.Application:
    """The service, ready to be served; when `tied`, it dies as soon as whoever holds its standard input is gone."""
    if said.tied:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    store = await open_store(said.db, unique=not said.once)
    tied_out = _tied_out(said.db) if said.once else None
    service = _service(tied_out, store, said.callback, said.conflict_log)
    await service.load_plan()
    routes = Routes(service)
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes([web.post("/prizes", routes.issue), web.get("/prizes/{key}", routes.find)])
    app.add_routes([web.post("/plan", routes.plan), web.get("/status", routes.status)])

    async def background(_: web.Application) -> AsyncIterator[None]:
        async with tied_out or nullcontext():
            calling = asyncio.create_task(service.call_back())
            yield
            calling.cancel()

    app.cleanup_ctx.append(background)
    return app


def _tied_out(db: str) -> Any:
    from tieout import App

    return App(db if db.startswith("postgresql://") else f"sqlite:///{db}", sweep=False, migrate=True)


def _service(tied_out: Any, *given: Any) -> PrizeService:
    if tied_out is None:
        return PrizeService(*given)
    from .by_once import OncePrizeService

    return OncePrizeService(tied_out, *given)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A prize service that fails on purpose.")
    parser.add_argument("--db", required=True, help="a file for SQLite, or postgresql://…")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--callback", required=True, help="the URL that is told what became of a prize")
    parser.add_argument("--conflict-log", required=True, type=Path)
    parser.add_argument("--once", action="store_true", help="issue prizes under tieout's once, not by hand")
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    said = parser.parse_args()
    app = application(said)
    web.run_app(app, host="127.0.0.1", port=said.port, print=None, access_log=None, reuse_address=True)


if __name__ == "__main__":
    main()
