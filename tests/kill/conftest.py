"""A theatre on SQLite, whose children are forked from a process of its own, without threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.troupe import scratch


@pytest.fixture
def folder() -> Path:
    """A folder in memory."""
    with scratch() as path:
        yield path
