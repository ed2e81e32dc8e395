"""The databases that Alembic is tried on."""

from __future__ import annotations

import pytest

from tests.coordination.conftest import servers

__all__ = ["servers"]


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def url(request, servers, tmp_path):
    """An empty database."""
    return f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else servers(request.param)
