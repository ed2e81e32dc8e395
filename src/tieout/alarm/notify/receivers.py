"""The receiver that a route names, and settings as they are written in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec
from msgspec.structs import replace

from tieout.alarm.notify.routing import AlarmSettings, Route
from tieout.config import looked_up
from tieout.contracts import Channel
from tieout.errors import ConfigError
from tieout.wire.robots import ROBOTS

EXTRAS = {"email": "", "apprise": "apprise"}
"""The extra that a receiver needs, where it is not `notify`."""


def receiver(route: Route, environment: Mapping[str, str] = os.environ) -> Channel:
    """What sends to a route; raise `ConfigError` for a route that cannot work, or an extra that is not installed."""
    url, secret = (looked_up(text, "a route", environment) for text in (route.url, route.secret))
    route = replace(route, url=url, secret=secret)
    try:
        made: Channel = _made(route)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(route.to, "notify")
        raise ConfigError(f"the receiver {route.to} needs {error.name}: pip install 'tieout[{extra}]'") from error
    return made


def read_alarm_settings(told: Any) -> AlarmSettings:
    """Settings from the table `[alarms]` of a file; raise `ConfigError` that names what is wrong."""
    try:
        return msgspec.convert(told, AlarmSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"alarms: {error}") from error


def _made(route: Route) -> Any:
    if route.to == "email":
        return import_module("tieout.alarm.notify.mail").Mail(route)
    if route.to == "apprise":
        return import_module("tieout.alarm.notify.many").Apprise(route)
    web = import_module("tieout.alarm.notify.web")
    return web.RobotReceiver(route, route.to) if route.to in ROBOTS else web.Webhook(route)
