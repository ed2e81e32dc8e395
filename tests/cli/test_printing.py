"""Times and text as people read them."""

from __future__ import annotations

import pytest

from tieout.cli.printing import age, ago, clock_time, iso, plain
from tieout.cli.which import moment
from tieout.cli.worker import seconds
from tieout.documents import iso_or_none
from tieout.errors import ConfigError

DAY = 86_400_000_000


def test_moments_are_utc():
    """Moments are ISO 8601 in UTC, to the microsecond or to the second; none is empty."""
    assert iso(1_000_001) == "1970-01-01T00:00:01.000001Z"
    assert clock_time(1_999_999) == "1970-01-01T00:00:01Z"
    assert (iso_or_none(None), clock_time(None), ago(None, 0)) == (None, "", "")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.0 s"),
        (9_900_000, "9.9 s"),
        (12_000_000, "12 s"),
        (150_000_000, "2 m"),
        (7_200_000_000, "2 h"),
        (40 * DAY, "40 d"),
    ],
)
def test_ages_have_the_unit_that_suits(micros, text):
    """An age has one unit; what is ahead is said as such."""
    assert age(micros) == text
    assert ago(5, 5 + micros) == f"{text} ago"
    assert ago(5 + micros + 1, 5).startswith("in ")


def test_nothing_stored_moves_a_cursor():
    """Controls, line ends and marks of direction are escaped; letters of every language are left alone."""
    assert plain("a\x1b[2J\n\u202e\x9bé漢") == "a\\x1b[2J\\n\\u202e\\x9bé漢"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1d", 9 * DAY),
        ("90m", 10 * DAY - 90 * 60_000_000),
        ("1970-01-02", DAY),
        ("1970-01-02T00:00:00+01:00", DAY - 3_600_000_000),
        ("1970-01-02T00:00:00Z", DAY),
    ],
)
def test_since_is_a_duration_or_a_time(text, at):
    """`--since` takes how long ago it was, or a time that is UTC unless it says otherwise."""
    assert moment(text, 10 * DAY) == at


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("0.5", 0.5), ("250ms", 0.25), ("2m", 120)])
def test_durations_may_be_plain_seconds(text, value):
    """A duration on the command line is a number of seconds, or a number with its unit."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "inf", "nan", "-1", "soon", "1 week"])
def test_wrong_durations_are_refused(text):
    """What is no duration is refused, infinity and NaN included."""
    with pytest.raises(ConfigError):
        seconds(text)
