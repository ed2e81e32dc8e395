"""Durations as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.config import duration, microseconds
from tieout.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("1.5m", 90), ("24h", 86_400), ("7d", 604_800), ("20us", 2e-5), (" 2s ", 2)],
)
def test_a_duration_has_a_unit(text, seconds):
    """Text is a number and one of us, ms, s, m, h, d."""
    assert duration(text) == pytest.approx(seconds)


@given(st.floats(0, 1e9) | st.integers(0, 10**9))
def test_a_number_is_seconds(value):
    """Numbers are taken as seconds."""
    assert duration(value) == value
    assert microseconds(value) == round(value * 1_000_000)


NO_UNIT = ["", "5", "s", "-5s", "5 s", "5S", "1e3s", "٣s", "5weeks", "nan", "inf"]
NO_NUMBER = [-1, -0.1, math.nan, math.inf, 1e11, 1e300, 10**20, "400000d", True, None, b"5s", [5]]


@pytest.mark.parametrize("value", [*NO_UNIT, *NO_NUMBER])
def test_anything_else_is_refused(value):
    """What is no duration raises `ConfigError`: a missing unit, a sign, NaN, a bool."""
    with pytest.raises(ConfigError):
        duration(value)


@given(st.text(max_size=12))
def test_no_text_raises_anything_else(text):
    """Whatever text comes, it is a duration or a `ConfigError`."""
    try:
        assert duration(text) >= 0
    except ConfigError:
        return


@given(st.integers(0, 10**15))
def test_whole_microseconds_are_kept(value):
    """Stored times have microseconds: none is lost on the way."""
    assert microseconds(f"{value}us") == value
