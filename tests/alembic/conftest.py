"""The databases that Alembic is tried on."""

from tests.coordination.conftest import servers, url

__all__ = ["servers", "url"]
