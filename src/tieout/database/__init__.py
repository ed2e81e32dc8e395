"""Transactions, statements and migrations on SQLite and PostgreSQL."""

from __future__ import annotations

from tieout.database.query import Compiled, Statements, load
from tieout.database.url import connect

__all__ = ["Compiled", "Statements", "connect", "load"]
