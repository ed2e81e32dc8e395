"""Periods: half-open intervals of UTC, from the rules of a time zone. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tieout.errors import ConfigError
from tieout.recon.values import EPOCH, instant

UTC_EPOCH = EPOCH.replace(tzinfo=None)

UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000}
"""Microseconds in the units in which a column may count since 1970."""


class Period(NamedTuple):
    """From `since` to before `until`, in microseconds since 1970 UTC."""

    since: int
    until: int

    def __contains__(self, at: object) -> bool:
        return isinstance(at, int) and self.since <= at < self.until

    def overlaps(self, other: Period) -> bool:
        """Whether some moment lies in both."""
        return self.since < other.until and other.since < self.until

    def padded(self, edge: int) -> Period:
        """The same with `edge` microseconds more on both sides."""
        return Period(self.since - edge, self.until + edge)

    def __str__(self) -> str:
        return f"{iso(self.since)}/{iso(self.until)}"


def iso(at: int) -> str:
    """A moment as ISO 8601 in UTC, without a fraction that is zero; in microseconds where no calendar reaches."""
    try:
        return (UTC_EPOCH + timedelta(microseconds=at)).isoformat() + "Z"
    except OverflowError:
        return f"{at} us since 1970"


def utc(at: int) -> datetime | str:
    """A moment, which JSON has as `iso` writes it; its text where no calendar reaches."""
    try:
        return EPOCH + timedelta(0, 0, at)
    except OverflowError:
        return iso(at)


def day(text: str, zone: ZoneInfo) -> Period:
    """One day of a zone, which may have 23 or 25 hours; raise `ConfigError`."""
    try:
        first = date.fromisoformat(text)
        return Period(_begin(first, zone), _begin(first + timedelta(days=1), zone))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no day: write for instance 2030-01-31") from error
    except OverflowError as error:
        raise ConfigError(f"{text!r} is the last day of the calendar, which has no end") from error


def between(since: str, until: str, zone: ZoneInfo) -> Period:
    """From one day or time to before another, in `zone` where they name none; raise `ConfigError`."""
    period = Period(moment(since, zone), moment(until, zone))
    if period.since >= period.until:
        raise ConfigError(f"{until} does not come after {since}")
    return period


def moment(text: str, zone: ZoneInfo) -> int:
    """A day's begin or a time, in microseconds since 1970 UTC; raise `ConfigError`."""
    try:
        if len(text) == len("2030-01-31"):
            return _begin(date.fromisoformat(text), zone)
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is neither a day nor a time: write 2030-01-31 or 2030-01-31T12:00") from error
    return instant(at, zone) if at.tzinfo else instant(at.replace(tzinfo=zone), zone)


def _begin(day: date, zone: ZoneInfo) -> int:
    """The first moment of a day: midnight, the first of two, or what comes after one that is left out."""
    return instant(datetime(day.year, day.month, day.day, tzinfo=zone), zone)
