"""What the routes of one App share, and how they get at it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from litestar import Request

from tieout.access import Caller, Sessions, Tokens
from tieout.alarm.store import Alarm
from tieout.app import App
from tieout.contracts import Transaction
from tieout.errors import ConfigError, DatabaseError
from tieout.process.jobs import Jobs
from tieout.recon.background import Background
from tieout.server.auth import caller_of
from tieout.server.hints import Hub
from tieout.server.masking import Masking
from tieout.server.metrics import Metrics
from tieout.server.settings import Oidc, Settings

if TYPE_CHECKING:
    from tieout.server.logins import Logins

D = TypeVar("D", bound=msgspec.Struct)

Asked = Request[Any, Any, Any]

log = logging.getLogger("tieout.server")

ALARMS_EVERY = 1.0
"""Seconds between two looks for new alarms."""

FIRST_LOOK = 3_000_000
"""Microseconds that the first look goes back: longer than it may have been since somebody began to listen."""

ALARMS_AT_A_TIME = 100
"""Alarms looked at each time: whoever misses some sees them in the list."""

MASKED = (
    *("params", "snapshots", "result", "calls", "wish", "evidence", "alarms", "early_reports"),
    *("upstream", "downstream", "differences"),
)
"""The parts of a document that hold what users sent or downstreams said."""


@dataclass
class Site:
    """One App behind HTTP."""

    app: App
    settings: Settings
    tokens: Tokens
    jobs: Jobs
    comparisons: Background
    hub: Hub
    masking: Masking
    metrics: Metrics
    sender_keys: dict[str, tuple[bytes, ...]]
    logins: Logins | None
    is_draining: bool = field(default=False)

    async def hear_alarms(self) -> None:
        """Tell listeners of alarms, whichever node raised them: look now and then, while somebody listens."""
        latest = 0
        while True:
            await asyncio.sleep(ALARMS_EVERY)
            if not len(self.hub):
                latest = 0
                continue
            try:
                now, recent = await self._recent_alarms()
            except DatabaseError as error:
                log.warning("alarms could not be looked for: %s", error)
                continue
            since = latest or now - FIRST_LOOK
            for alarm in reversed(recent):
                if alarm.last_at > since:
                    self.hub.tell("alarm", alarm.id.hex(), alarm.state)
            latest = max([since, *(alarm.last_at for alarm in recent)])

    async def _recent_alarms(self) -> tuple[int, list[Alarm]]:
        return await self.now(), await self.app.alarms.list(limit=ALARMS_AT_A_TIME)

    async def now(self) -> int:
        """The database server's time, in microseconds."""

        async def work(tx: Transaction) -> int:
            row = await tx.fetch_one("SELECT {now} AS now")
            return 0 if row is None else int(row[0])

        return await self.app.database.read(work)

    async def end_work(self) -> None:
        """End what runs by itself on this node."""
        await self.jobs.close()
        await self.comparisons.close()

    def for_caller(self, document: D, caller: Caller) -> Any:
        """The document as this caller may see it: masked for those who only look on."""
        if caller.may("unmasked:read") or caller.sees:
            return document
        told = msgspec.to_builtins(document)
        if "lane" in told and told["note"]:  # behind the colon a process's note may quote what a downstream said
            told["note"] = told["note"].partition(":")[0]
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
    return Site(
        app,
        settings,
        tokens,
        jobs,
        Background(app.recon, Path(settings.recon_folder)),
        hub,
        Masking(settings.mask),
        metrics,
        settings.sender_keys(),
        logins_of(app, settings),
    )


def logins_of(app: App, settings: Settings) -> Logins | None:
    """What people log in by, where a provider is set; raise `ConfigError` when what that needs is not installed."""
    if settings.oidc is None:
        return None
    try:
        made: type[Logins] = import_module("tieout.server.logins").Logins
    except ModuleNotFoundError as error:
        raise ConfigError(f"logging in needs {error.name}: pip install 'tieout[oidc]'") from error
    return made(settings, settings.oidc, sessions_of(app, settings.oidc))


def sessions_of(app: App, oidc: Oidc) -> Sessions:
    """The sessions of people who have logged in."""
    return Sessions(app.database, app.operate.audit, app.engine.world.clock, round(oidc.idle * 1_000_000))


def headers_of(request: Asked) -> dict[str, list[str]]:
    """Its header fields, by names in small letters."""
    return fields_of(request.scope)


def fields_of(scope: Mapping[str, Any]) -> dict[str, list[str]]:
    """The header fields of a scope, by names in small letters."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def site_of(request: Asked) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state["site"]
    return site


def who(request: Asked) -> tuple[Site, Caller]:
    """The site that a request is for, and who makes it."""
    return site_of(request), caller_of(request)
