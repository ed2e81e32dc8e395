"""`tieout alarm test-route`: whether a route for alarms leads where it should."""

from __future__ import annotations

import secrets
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tieout.alarm.notify.receivers import read_alarm_settings, receiver
from tieout.alarm.notify.routing import AlarmSettings, Notice, envelope
from tieout.cli import exits
from tieout.cli.printing import Json, emit, say
from tieout.cli.where import ANYWHERE, Where, found
from tieout.config import iso
from tieout.contracts import Channel, Message
from tieout.errors import ConfigError

Config = Annotated[Path | None, Parameter(help="A TOML file with a table [alarms], instead of the App's settings.")]


async def try_route(
    name: Annotated[str, Parameter(help="The route's name.")],
    /,
    *,
    config: Config = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Send a message that calls itself a test to the receiver of a route; exit with 1 if it was not taken."""
    settings = await _settings(config, where)
    if name not in settings.routes:
        known = ", ".join(settings.routes) or "none at all"
        raise ConfigError(f"there is no route {name!r}; there is {known}")
    why = await _send(receiver(settings.routes[name]), _test_message(name, settings.link))
    if json:
        emit({"route": name, "taken": why is None, "why": why})
    else:
        say(f"{name}: taken" if why is None else f"{name}: not taken: {why}")
    return exits.OK if why is None else exits.NO


def alarm_settings_in(config: Path) -> AlarmSettings | None:
    """The settings in a file, or None if it has no table for them; raise `ConfigError`."""
    try:
        told = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{config}: {error}") from error
    return read_alarm_settings(told["alarms"]) if "alarms" in told else None


async def _settings(config: Path | None, where: Where) -> AlarmSettings:
    if config is None:
        async with found(where, code=True) as app:
            return app.alarm_settings
    settings = alarm_settings_in(config)
    if settings is None:
        raise ConfigError(f"{config} has no table [alarms]")
    return settings


async def _send(channel: Channel, message: Message) -> str | None:
    """Why it was not taken, or None."""
    try:
        await channel.open()
        verdicts: Sequence[str | None] = await channel.publish([message])
    except Exception as error:  # noqa: BLE001 - whatever a receiver raises is the answer that was asked for
        return f"{type(error).__name__}: {error}"
    finally:
        await channel.close()
    return verdicts[0]


def _test_message(name: str, link: str) -> Message:
    number, at = secrets.token_hex(16), round(time.time() * 1_000_000)
    told = Notice(
        id=number,
        happening="opened",
        kind="test",
        severity="warning",
        state="open",
        object=name,
        process=None,
        summary=f"this is a test of the route {name}: nothing has happened",
        count=1,
        owner=None,
        escalation=0,
        at=iso(at),
        actor="tieout",
        note="",
        resolution=None,
        link=link.replace("{id}", number),
    )
    return Message(number, "test", number, {}, envelope(told), at)
