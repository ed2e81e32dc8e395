"""Transactions and sessions of the user's own libraries as tieout's. Each library is imported where it is used."""

from __future__ import annotations

from tieout.sessions.database import SessionDatabase, run_in_session
from tieout.sessions.finding import in_sessions, join
from tieout.sessions.joined import Joined

__all__ = ["Joined", "SessionDatabase", "in_sessions", "join", "run_in_session"]
