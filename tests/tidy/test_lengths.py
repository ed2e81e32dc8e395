"""Modules and functions stay small enough to be read at once."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.tidy import tree

if TYPE_CHECKING:
    import pytest

MODULE_LINES = 400
FUNCTION_LINES = 70
MEDIAN_LINES = 8


def test_no_module_is_too_long() -> None:
    """A module has at most 400 lines, wherever in the tree it stands."""
    counts = {tree.shown(path): len(path.read_text().splitlines()) for path in tree.modules(*tree.CODE)}
    assert {where: count for where, count in counts.items() if count > MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    """A function has at most 70 lines from its `def` to its end."""
    too_long = [
        f"{tree.shown(path, function)} {function.name}: {tree.length(function)} lines"
        for path in tree.modules(*tree.CODE)
        for function in tree.functions(path)
        if tree.length(function) > FUNCTION_LINES
    ]
    assert too_long == []


def test_functions_are_short_on_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the functions that are shipped have at most 8 lines."""
    lengths = [tree.length(function) for path in tree.modules("src") for function in tree.functions(path)]
    median = statistics.median(lengths)
    with capsys.disabled():
        print(f"\n{len(lengths)} functions in src: median {median:g} lines, longest {max(lengths)}")
    assert median <= MEDIAN_LINES
