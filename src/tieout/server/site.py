"""What the routes of one App share, and how they get at it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from litestar import Request

from tieout.access import Caller, Tokens
from tieout.app import App
from tieout.errors import ConfigError, DatabaseError
from tieout.process.jobs import Jobs
from tieout.server.auth import caller_of
from tieout.server.hints import Hub
from tieout.server.masking import Masking
from tieout.server.metrics import Metrics
from tieout.server.settings import Settings

D = TypeVar("D", bound=msgspec.Struct)

Asked = Request[Any, Any, Any]

log = logging.getLogger("tieout.server")

ALARMS_EVERY = 1.0
"""Seconds between two looks for new alarms."""

ALARMS_AT_A_TIME = 100
"""Alarms looked at each time: whoever misses some sees them in the list."""

MASKED = ("params", "snapshots", "result", "calls", "wish", "evidence", "alarms", "early_reports")
"""The parts of a document that hold what users sent or downstreams said."""


@dataclass
class Site:
    """One App behind HTTP."""

    app: App
    settings: Settings
    tokens: Tokens
    jobs: Jobs
    hub: Hub
    masking: Masking
    metrics: Metrics
    sender_keys: dict[str, tuple[bytes, ...]]
    is_draining: bool = field(default=False)

    async def hear_alarms(self) -> None:
        """Tell listeners of alarms, whichever node raised them: look now and then, while somebody listens."""
        latest: int | None = None
        while True:
            await asyncio.sleep(ALARMS_EVERY)
            if not len(self.hub):
                latest = None
                continue
            try:
                recent = await self.app.alarms.list(limit=ALARMS_AT_A_TIME)
            except DatabaseError as error:
                log.warning("alarms could not be looked for: %s", error)
                continue
            for alarm in reversed(recent):
                if latest is not None and alarm.last_at > latest:
                    self.hub.tell("alarm", alarm.id.hex(), alarm.state)
            latest = max([latest or 0, *(alarm.last_at for alarm in recent)])

    def for_caller(self, document: D, caller: Caller) -> Any:
        """The document as this caller may see it: masked for those who only look on."""
        if caller.may("unmasked:read") or caller.sees:
            return document
        told = msgspec.to_builtins(document)
        return {
            name: self.masking.masked(value, name) if name in MASKED and value is not None else value
            for name, value in told.items()
        }


def make_site(app: App, settings: Settings) -> Site:
    """Everything that the routes of this App share; raise `ConfigError` for an App that cannot be served."""
    if app.is_blocking:
        raise ConfigError("a blocking App has no event loop to serve on: serve a tieout.App")
    hub = Hub(secrets.token_hex(4), most=settings.event_clients, room=settings.event_queue)
    metrics = Metrics()
    app.watchers += [hub.moved, metrics.moved]
    tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
    jobs = Jobs(app.database, app.operate)
    return Site(app, settings, tokens, jobs, hub, Masking(settings.mask), metrics, settings.sender_keys())


def site_of(request: Asked) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state["site"]
    return site


def who(request: Asked) -> tuple[Site, Caller]:
    """The site that a request is for, and who makes it."""
    return site_of(request), caller_of(request)
