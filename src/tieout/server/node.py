"""One node: an App behind Granian on this event loop, until it is told to stop; then it drains."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tieout.app import App
from tieout.errors import ConfigError
from tieout.server.app import asgi
from tieout.server.front import Front
from tieout.server.logs import log_as_json
from tieout.server.settings import Settings, read_settings

__all__ = ["Settings", "log_as_json", "read_settings", "serve"]

log = logging.getLogger("tieout.server")

STOP_SECONDS = 10.0
"""How long Granian may take to close what is left of its connections."""

LISTEN_SECONDS = 10.0
"""How long it may take until it listens."""


async def serve(
    app: App, settings: Settings, stop: Awaitable[object], *, ready: Callable[[Front], None] = lambda _: None
) -> None:
    """Serve an open App until `stop` is done, then drain; the App stays open, and is its caller's to close.

    Raise `ConfigError` for an address that cannot be used.
    """
    stopping = asyncio.ensure_future(stop)
    try:
        front = asgi(app, settings)
        settings.check_exposure(await front.site.tokens.count_valid())
        _check_free(settings)
        await _serve(front, settings, stopping, ready)
    finally:
        stopping.cancel()


async def _serve(
    front: Front, settings: Settings, stopping: asyncio.Future[object], ready: Callable[[Front], None]
) -> None:
    server = _granian(front, settings)
    serving = asyncio.create_task(server.serve())
    hearing = asyncio.create_task(front.site.hear_alarms())
    try:
        await _until_it_listens(settings, serving)
        ready(front)
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await _ended_by_itself(serving)
        # A stream that stays open would keep Granian from ending: they are ended first.
        await front.drain(settings.drain)
    finally:
        hearing.cancel()
        await front.site.end_work()
        server.stop()  # type: ignore[no-untyped-call]  # Granian's method has no types
        await _end(serving)


def _granian(front: Front, settings: Settings) -> Server:
    return Server(
        front,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        http1_settings=HTTP1Settings(
            header_read_timeout=max(1_000, round(settings.body_seconds * 1_000)),
            max_buffer_size=max(8_192, 4 * settings.max_headers),
        ),
        ssl_cert=Path(settings.tls_cert) if settings.tls_cert else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
    )


def _check_free(settings: Settings) -> None:
    """Raise `ConfigError` where we may not listen, or somebody does: Granian would take turns with another Granian."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error


async def _until_it_listens(settings: Settings, serving: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + LISTEN_SECONDS
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - looked up, not bound
    while loop.time() < ends:
        if serving.done():
            await _ended_by_itself(serving)
        try:
            _, writer = await asyncio.open_connection(host, settings.port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise ConfigError(f"nothing listens on {settings.host}:{settings.port} after {LISTEN_SECONDS:g} s")


async def _ended_by_itself(serving: asyncio.Task[None]) -> None:
    try:
        await serving
    except Exception as error:
        raise ConfigError(f"the server has ended: {error}") from error
    raise ConfigError("the server has ended by itself")


async def _end(serving: asyncio.Task[None]) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await serving
    except TimeoutError:
        log.warning("connections were still open after %g s and are cut", STOP_SECONDS)
    except Exception as error:  # noqa: BLE001 - it ends either way
        log.warning("the server ended with %s", error)
