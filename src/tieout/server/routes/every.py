"""All routes of an App."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from tieout.server.routes import (
    alarms,
    audit,
    breaks,
    bulk,
    commands,
    comparisons,
    events,
    health,
    logins,
    messages,
    mirrors,
    processes,
    pushes,
    reference,
    reports,
    starting,
    statements,
)
from tieout.server.site import Site


def all_routes(site: Site) -> Sequence[ControllerRouterHandler]:
    """Every route of an App."""
    return [
        *starting.routes(site.app),
        *processes.ROUTES,
        *commands.ROUTES,
        *bulk.ROUTES,
        *reports.ROUTES,
        *mirrors.ROUTES,
        *pushes.ROUTES,
        *comparisons.ROUTES,
        *statements.ROUTES,
        *breaks.ROUTES,
        *alarms.ROUTES,
        *messages.ROUTES,
        *audit.ROUTES,
        *events.ROUTES,
        *reference.ROUTES,
        *health.ROUTES,
        *logins.routes(site),
    ]
