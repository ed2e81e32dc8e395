"""The databases that mirrors are tried on."""

from __future__ import annotations

import pytest

from tests.coordination.conftest import database, servers, url

__all__ = ["database", "servers", "url"]


@pytest.fixture
def here(tmp_path):
    """An empty database, for what is the same on each."""
    return f"sqlite:///{tmp_path}/here.db"
