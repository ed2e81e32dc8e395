"""tieout for code without an event loop: the same App, the same engine, on threads."""

from __future__ import annotations

from tieout.blocking.app import App
from tieout.blocking.plain import Database, HttpOnce, Once, Transaction, recall

__all__ = ["App", "Database", "HttpOnce", "Once", "Transaction", "recall"]
