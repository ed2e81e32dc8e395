"""How the params of a repeated request are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.process.rules import changed_params

VALUES = st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PARAMS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(PARAMS)
def test_the_same_params_are_no_change(params):
    """A request is a repetition of itself."""
    assert changed_params(params, dict(params)) == ()


@given(PARAMS, PARAMS)
def test_every_changed_field_is_named(stored, given_params):
    """Exactly the fields that both have and in which they differ are named, in the stored order."""
    expected = [name for name in stored if name in given_params and stored[name] != given_params[name]]
    assert list(changed_params(stored, given_params)) == expected


def test_fields_that_were_never_stored_are_not_compared():
    """A row that is older than a field cannot contradict it."""
    assert changed_params({"a": 1}, {"a": 1, "added": 2}) == ()


def test_fields_that_the_code_no_longer_has_are_not_compared():
    """A row that is older than the removal of a field cannot contradict the code."""
    assert changed_params({"a": 1, "removed": 2}, {"a": 1}) == ()


@pytest.mark.parametrize(("stored", "sent"), [(1, 1.0), ({"x": 1, "y": 2}, {"y": 2, "x": 1.0}), ([1, 2], (1, 2))])
def test_spelling_is_no_change(stored, sent):
    """Values are compared, not their JSON."""
    assert changed_params({"a": stored}, {"a": sent}) == ()


@pytest.mark.parametrize(("stored", "sent"), [(1, "1"), (None, 0), ("a", "A"), ("a", "a "), ([1], [1, 1]), (0, "")])
def test_another_value_is_a_change(stored, sent):
    """A number is not its text, nothing is not zero, and text is compared as it stands."""
    assert changed_params({"a": stored}, {"a": sent}) == ("a",)
