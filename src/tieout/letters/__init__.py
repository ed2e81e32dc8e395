"""What comes in from other services: taken in once, acknowledged when it is done, and kept where it cannot be done."""

from __future__ import annotations

from tieout.letters.consuming import Consuming
from tieout.letters.engine import Letters
from tieout.letters.store import Letter, LetterStore

__all__ = ["Consuming", "Letter", "LetterStore", "Letters"]
