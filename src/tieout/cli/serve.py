"""`tieout serve`: the HTTP API of an App, and its worker, until it is told to stop."""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tieout.app import App
from tieout.cli.lasting import settled
from tieout.cli.printing import SWITCH, Json, emit, note
from tieout.cli.routes import alarm_settings_in
from tieout.cli.where import ANYWHERE, Place, Where, found
from tieout.cli.worker import Level, Stop, duties
from tieout.errors import ConfigError

ALL = "api,worker,relay"

PARTS = frozenset(ALL.split(","))


async def serve(
    place: Annotated[Place, Parameter(help="module:app, the same as --app.")] = None,
    /,
    *,
    host: Annotated[str | None, Parameter(help="Where to listen: 127.0.0.1.")] = None,
    port: Annotated[int | None, Parameter(help="The port: 8080.")] = None,
    run: Annotated[str, Parameter(help="Which parts: the API, the worker that sweeps, the relay that sends.")] = ALL,
    behind_proxy: Annotated[bool, SWITCH, Parameter(help="A proxy speaks TLS: other addresses may be used.")] = False,
    prefix: Annotated[str | None, Parameter(help="What all paths begin with, for instance /tieout.")] = None,
    config: Annotated[Path | None, Parameter(help="A TOML file with tables [server] and [alarms].")] = None,
    log_level: Annotated[Level, Parameter(help="What is logged to standard error.")] = "info",
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Serve an App's HTTP API, sweep its processes, and send what waits, until SIGTERM or SIGINT; then drain.

    Any number of nodes may run on one database. Other addresses than this machine's own need TLS or --behind-proxy,
    and a token: see `tieout token create`.
    """
    server, parts = _installed(), parts_of(run)
    given = {"host": host, "port": port, "behind_proxy": behind_proxy or None, "prefix": prefix}
    settings = server.read_settings(config, os.environ, **given)
    async with found(where.at(place), code=True) as app:
        server.log_as_json(log_level, settings)
        if not any(duties(app).values()):
            raise ConfigError("this App has nothing to serve: process types, mirrors, messages, channels")
        app.sweeps, app.relays = "worker" in parts, "relay" in parts
        if config is not None:
            app.alarm_settings = alarm_settings_in(config) or app.alarm_settings
        async with app:
            stop = Stop()
            telling = Telling(app, settings.address if "api" in parts else None, as_json=json)
            if "api" in parts:
                await server.serve(app, settings, telling.draining(stop), ready=telling.ready)
            else:
                telling.ready()
                await telling.draining(stop)
    if json:
        emit({"event": "stopped"})


def parts_of(run: str) -> frozenset[str]:
    """The parts that a node runs; raise `ConfigError` for others."""
    parts = frozenset(part.strip() for part in run.split(","))
    if not parts <= PARTS:
        raise ConfigError(f"--run is one or more of {', '.join(sorted(PARTS))}, separated by commas; not {run!r}")
    return parts


def _installed() -> Any:
    """The server; raise `ConfigError` when what it needs is not installed."""
    try:
        return importlib.import_module("tieout.server.node")
    except ModuleNotFoundError as error:
        raise ConfigError(f"the server needs {error.name}: pip install 'tieout[server]'") from error


class Telling:
    """What happens to a node, told on standard output as JSON, or to people on standard error."""

    def __init__(self, app: App, address: str | None, *, as_json: bool) -> None:
        self.app = app
        self.address = address
        self.as_json = as_json

    def ready(self, _: object = None) -> None:
        """It has begun."""
        settled()
        if self.as_json:
            does = {"sweeps": self.app.sweeps, "relays": self.app.relays}
            emit({"event": "serving", "pid": os.getpid(), "address": self.address, **does})
        elif self.address:
            note(f"serving {self.address}/v1; its description is at {self.address}/v1/docs")
        else:
            parts = [name for name, is_on in (("sweeping", self.app.sweeps), ("sending", self.app.relays)) if is_on]
            note(f"{' and '.join(parts)}; there is no API")

    async def draining(self, stop: Stop) -> None:
        """It has been told to stop."""
        number = await asyncio.shield(stop.told)
        if self.as_json:
            emit({"event": "draining", "signal": number.name, "in_flight": self.app.worker.in_flight})
