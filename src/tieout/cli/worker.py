"""`tieout worker`: an App that sweeps until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from tieout.app import App
from tieout.cli import exits
from tieout.cli.lasting import settled
from tieout.cli.printing import Json, emit
from tieout.cli.routes import alarm_settings_in
from tieout.cli.where import ANYWHERE, Place, Where, found
from tieout.config import duration
from tieout.errors import ConfigError
from tieout.worker import Limits

log = logging.getLogger("tieout.worker")

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Level = Literal["debug", "info", "warning", "error"]


async def worker(
    place: Annotated[Place, Parameter(help="module:app, the same as --app.")] = None,
    /,
    *,
    sweep_every: Annotated[str | None, Parameter(help="How often to look for work while there is none: 1s.")] = None,
    in_flight: Annotated[int | None, Parameter(help="Processes worked on at a time: 256.")] = None,
    drain: Annotated[str | None, Parameter(help="How long running work may take to end after SIGTERM: 30s.")] = None,
    config: Annotated[Path | None, Parameter(help="A TOML file with a table [alarms].")] = None,
    log_level: Annotated[Level, Parameter(help="What is logged to standard error.")] = "info",
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Sweep an App's processes until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Any number of workers may run on one database. Killing one at any moment loses nothing.
    """
    async with found(where.at(place), code=True) as app:
        logging.basicConfig(stream=sys.stderr, level=log_level.upper(), format=LOG_FORMAT)
        if not any(duties(app).values()):
            raise ConfigError("this App has nothing to work on: process types, mirrors, messages, channels")
        app.sweeps = True
        app.limits = _limits(app.limits, sweep_every, in_flight, drain)
        if config is not None:
            app.alarm_settings = alarm_settings_in(config) or app.alarm_settings
        async with app:
            await _until_told(app, as_json=json)
    if json:
        emit({"event": "stopped"})


def duties(app: App) -> dict[str, list[str]]:
    """What a worker of this App has to do, by kind, each by its name."""
    return {
        "types": sorted(app.types),
        "mirrors": sorted(app.mirrors),
        "sources": sorted(app.consuming.sources),
        "channels": sorted(app.channels),
    }


async def _until_told(app: App, *, as_json: bool) -> None:
    stop, does = Stop(), duties(app)
    settled()
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in does.items() if names)
    log.info("at work on %s; up to %d processes at a time; SIGTERM drains", told, app.limits.in_flight)
    if as_json:
        emit({"event": "sweeping", "pid": os.getpid(), **does, "limits": app.limits})
    number = await stop.told
    in_flight = app.worker.in_flight
    log.info("%s: draining %d processes for up to %g s", number.name, in_flight, app.limits.drain)
    if as_json:
        emit({"event": "draining", "signal": number.name, "in_flight": in_flight})


class Stop:
    """The first signal completes `told`; the second ends the process at once, whatever the event loop is doing."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.told: asyncio.Future[signal.Signals] = self._loop.create_future()
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self._first, number)

    def _first(self, number: signal.Signals) -> None:
        for each in SIGNALS:
            self._loop.remove_signal_handler(each)
            signal.signal(each, _end_at_once)
        if not self.told.done():
            self.told.set_result(number)


def _end_at_once(number: int, _: FrameType | None) -> None:
    # No clean-up: a worker that is killed at any moment loses nothing, and whoever signals twice means it.
    os._exit(exits.SIGNALLED + number)


def _limits(limits: Limits, sweep_every: str | None, in_flight: int | None, drain: str | None) -> Limits:
    changes: dict[str, float | int] = {}
    if sweep_every is not None:
        changes["sweep_every"] = _within("--sweep-every", seconds(sweep_every), 0.01, 3_600)
    if in_flight is not None:
        changes["in_flight"] = int(_within("--in-flight", in_flight, 1, 100_000))
    if drain is not None:
        changes["drain"] = _within("--drain", seconds(drain), 0, 86_400)
    return msgspec.structs.replace(limits, **changes)


def seconds(text: str) -> float:
    """A duration in seconds, from `15m` or a plain number of seconds."""
    try:
        return duration(float(text))
    except ValueError:
        return duration(text)


def _within(option: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise ConfigError(f"{option} is {least:g} to {most:g}, not {value:g}")
    return value
