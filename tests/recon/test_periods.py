"""Periods and moments: no moment falls into two days or none, in any zone."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import ConfigError
from tieout.recon import between, day
from tieout.recon.periods import iso
from tieout.recon.values import canonical, local_converter, moment_text, number_text

HOUR = 3_600_000_000
BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
ZONES = sorted(available_timezones())


@given(st.sampled_from(ZONES), st.dates(date(1970, 1, 2), date(2040, 12, 30)))
def test_days_follow_each_other_without_a_gap(zone: str, first: date) -> None:
    """A day ends where the next one begins, in every zone, whatever its clocks do."""
    ours, theirs = (day((first + timedelta(days=n)).isoformat(), ZoneInfo(zone)) for n in (0, 1))
    assert ours.until == theirs.since


@pytest.mark.parametrize(("text", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-22", 24)])
def test_days_have_as_many_hours_as_the_zone_gives_them(text: str, hours: int) -> None:
    """A day in which clocks change has 23 or 25 hours."""
    period = day(text, BERLIN)
    assert period.until - period.since == hours * HOUR


def test_a_day_without_midnight_begins_with_what_comes_after() -> None:
    """Where midnight is left out, the day begins when the clocks have been put forward."""
    period = day("2018-11-04", ZoneInfo("America/Sao_Paulo"))
    assert (iso(period.since), period.until - period.since) == ("2018-11-04T03:00:00Z", 23 * HOUR)


def test_periods_are_half_open() -> None:
    """The last microsecond belongs to a period, its end to the next one."""
    period = between("2026-11-22T00:00+08:00", "2026-11-23", ZoneInfo("Asia/Shanghai"))
    assert [at in period for at in (period.since - 1, period.since, period.until - 1, period.until)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("since", "until"), [("2026-11-22", "2026-11-22"), ("2026-11-23", "2026-11-22"), ("x", "y")])
def test_a_period_that_is_none_is_refused(since: str, until: str) -> None:
    """An empty or backward period, and what is no time, are told."""
    with pytest.raises(ConfigError):
        between(since, until, UTC)


def test_times_are_the_same_however_they_are_written() -> None:
    """A zone in the text counts; without one the side's does; an hour that comes twice is the later one."""
    texts = ["2026-11-22T12:00:00.000001Z", "2026-11-22T13:00:00.000001+01:00"]
    assert {moment_text(text, BERLIN) for text in texts} == {"1795348800000001"}
    assert moment_text("2026-11-22T13:00:00.000001", BERLIN) == "1795348800000001"
    assert moment_text("2026-10-25T02:30", BERLIN) == moment_text("2026-10-25T01:30Z", BERLIN)
    assert moment_text("soon", BERLIN) == "soon"


@given(st.datetimes(timezones=st.just(UTC), allow_imaginary=False), st.sampled_from(ZONES))
def test_local_times_are_converted_as_written_ones(at, zone: str) -> None:
    """A local time in microseconds and the same one written out are the same moment."""
    local = at.replace(tzinfo=None)
    micros = str(
        (at - at.replace(year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0))
        // timedelta(microseconds=1)
    )
    assert local_converter(ZoneInfo(zone))(micros) == moment_text(local.isoformat(), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "zone", "micros"),
    [
        ("9999-12-31T23:59:59.999999", "America/New_York", 253_402_318_799_999_999),
        ("9999-12-31T23:59:59-05:00", "UTC", 253_402_318_799_000_000),
        ("0001-01-01T00:00:00", "Asia/Tokyo", -62_135_630_339_000_000),
    ],
)
def test_a_time_that_stands_for_never_is_a_moment_too(text: str, zone: str, micros: int) -> None:
    """The calendar's first and last moments, which many tables have for "never", are moments in every zone."""
    assert moment_text(text, ZoneInfo(zone)) == str(micros)


def test_what_lies_beyond_the_calendar_stays_as_it_was() -> None:
    """A local time of the year 10000, of which nobody knows the zone's rules, ends no comparison."""
    assert local_converter(BERLIN)("253402300800000000") == "253402300800000000"


def test_a_period_may_reach_to_the_calendars_ends_and_not_beyond() -> None:
    """The last day has no end; a period from its first day on is one, in every zone."""
    with pytest.raises(ConfigError, match="the last day of the calendar"):
        day("9999-12-31", UTC)
    assert between("0001-01-01", "9999-12-31", ZoneInfo("Asia/Shanghai")).since < -62_135_596_800_000_000


@pytest.mark.parametrize(
    ("text", "canonical_text"),
    [
        ("1.50", "1.5"),
        ("-0.00", "0"),
        ("007", "7"),
        ("1e3", "1000"),
        ("1.5E-7", "0.00000015"),
        ("100", "100"),
        ("NaN", "NaN"),
        ("1e6000000", "1e6000000"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        ("", ""),
    ],
)
def test_numbers_have_one_text(text: str, canonical_text: str) -> None:
    """Equal numbers are the same text; what is no number, or of an absurd size, stays as it is."""
    assert number_text(text) == canonical_text


def test_given_values_become_canonical() -> None:
    """Values of JSON are what a source would have said: flags are 0 or 1, bytes are hex digits, None stays."""
    assert canonical("integer", value=True, zone=UTC) == "1"
    assert canonical("number", 12.50, UTC) == "12.5"
    assert canonical("bytes", b"\x00\xff", UTC) == "00ff"
    assert canonical("text", None, UTC) is None
    assert canonical("moment", "1970-01-01T00:00:01Z", UTC) == "1000000"
