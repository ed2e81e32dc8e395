"""A lock claims a request, and its row comes last: PostgreSQL and SQLite."""

from __future__ import annotations

from tieout.once.lock_first.store import LockFirst

__all__ = ["LockFirst"]
