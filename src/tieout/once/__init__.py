"""The receiving service: a request that comes again gets its first answer, and nothing happens twice."""

from __future__ import annotations

from tieout.once.answers import Absent, Answered, HttpAnswer, InFlight
from tieout.once.current import current_tx
from tieout.once.define import Once
from tieout.once.http import HttpOnce, HttpRules

__all__ = ["Absent", "Answered", "HttpAnswer", "HttpOnce", "HttpRules", "InFlight", "Once", "current_tx"]
