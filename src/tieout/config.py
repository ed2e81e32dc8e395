"""Values as people write them in settings and definitions."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tieout.errors import ConfigError, DefinitionError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
LONGEST = 1_000 * 365 * 86_400
"""The longest duration, in seconds: a moment so far off still fits into every database, and into a date."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)", re.ASCII)

FROM_ENVIRONMENT = "env:"
"""Begins what is looked up in the environment: what follows is the variable's name."""


def looked_up(text: str, what: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text, or the variable that it names; raise `ConfigError` when that is not set."""
    if not text.startswith(FROM_ENVIRONMENT):
        return text
    name = text.removeprefix(FROM_ENVIRONMENT)
    if name not in environment:
        raise ConfigError(f"{what} looks for ${name}, which is not set")
    return environment[name]


def duration(value: float | str) -> float:
    """Seconds, from a number of seconds or from text such as "500ms", "30s", "15m", "24h", "7d".

    Raise `ConfigError` unless it is from nothing to a thousand years.
    """
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ConfigError(f"{value!r} is not a duration: write for instance 30s, 15m or 24h")
        value = float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
        raise ConfigError(f"{value!r:.50} is not a duration: give seconds, or text such as 30s; up to 1000 years")
    return float(value)


def microseconds(value: float | str) -> int:
    """`duration` in whole microseconds, the unit of every stored time."""
    return round(duration(value) * 1_000_000)


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name; raise `DefinitionError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DefinitionError(f"{name!r} is no time zone") from error


def iso(moment: int) -> str:
    """A moment in microseconds as ISO 8601 in UTC, with microseconds."""
    at = _EPOCH + timedelta(microseconds=moment)
    return f"{at.isoformat(timespec='microseconds')[:26]}Z"
