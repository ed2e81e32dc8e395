"""`/healthz`, `/readyz`, `/version`, `/metrics`, and `/v1/me`."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import get_args

import msgspec
from litestar import Response, get

from tieout.access import Permission
from tieout.database.migrate import check
from tieout.errors import AppClosed, DatabaseError, Overloaded
from tieout.server.describing import OPEN, permits, refusals
from tieout.server.metrics import CONTENT_TYPE
from tieout.server.site import Asked, site_of, who

READY_SECONDS = 2.0
"""Longest that the database may take to answer."""


class Alive(msgspec.Struct, frozen=True):
    """The node runs."""

    status: str = "alive"


class Ready(msgspec.Struct, frozen=True):
    """The node can answer: its database does, has the tables of this version, and is not older than one seen before."""

    status: str = "ready"


class Version(msgspec.Struct, frozen=True):
    """What runs."""

    version: str


class Me(msgspec.Struct, frozen=True):
    """Who the server takes you for."""

    name: str
    client: str
    roles: list[str]
    permissions: list[str]


@get("/healthz", tags=["health"], responses=refusals(), **OPEN)
async def healthz() -> Alive:
    """Whether the node runs: restart it when this does not answer."""
    return Alive()


@get("/readyz", tags=["health"], responses=refusals(), **OPEN)
async def readyz(request: Asked) -> Ready:
    """Whether the node should be sent requests: its database answers, and it is not about to stop."""
    site = site_of(request)
    if site.is_draining:
        raise AppClosed("this node is about to stop")
    try:
        async with asyncio.timeout(READY_SECONDS):
            await check(site.app.database)
    except TimeoutError as error:
        raise Overloaded(f"the database has not answered within {READY_SECONDS:g} s") from error
    except DatabaseError as error:
        raise Overloaded(f"not ready: {error.code}") from error
    return Ready()


@get("/version", tags=["health"], responses=refusals(), **OPEN)
async def get_version() -> Version:
    """The version that runs."""
    return Version(version("tieout"))


@get("/metrics", tags=["health"], media_type="text/plain", responses=refusals(), **permits("metrics:read"))
async def get_metrics(request: Asked) -> Response[bytes]:
    """Everything that is counted and measured, in Prometheus's text format."""
    site = site_of(request)
    return Response(await site.metrics.exposition(site.app, site.hub), media_type=CONTENT_TYPE)


@get("/v1/me", tags=["access"], responses=refusals(), **permits(*get_args(Permission)))
async def get_me(request: Asked) -> Me:
    """Who the server takes you for, and what you may do."""
    _, caller = who(request)
    return Me(caller.name, caller.client, list(caller.roles), sorted(caller.permissions))


ROUTES = [healthz, readyz, get_version, get_metrics, get_me]
