"""Which way each database claims a request."""

from __future__ import annotations

from tieout.once.lock_first import LockFirst
from tieout.once.row_first import RowFirst
from tieout.once.store import OnceStore
from tieout.payloads import PLAIN, Payloads


def store_of(dialect: str, payloads: Payloads = PLAIN) -> OnceStore:
    """Answers in a database of this kind."""
    return RowFirst(dialect, payloads) if dialect == "mysql" else LockFirst(dialect, payloads)
