"""Messages between services: the inbox, which lets each one in once."""

from __future__ import annotations

from tieout.messages.store import Inbox

__all__ = ["Inbox"]
