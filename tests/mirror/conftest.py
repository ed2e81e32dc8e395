"""The databases that mirrors are tried on: the same as for leases and budgets."""

from __future__ import annotations

from tests.coordination.conftest import database, here, migrated_file, servers, url

__all__ = ["database", "here", "migrated_file", "servers", "url"]
