"""Messages between services: the inbox lets each one in once, the outbox and its relay send each one at least once."""

from __future__ import annotations

from tieout.messages.outbox import Outbox, Waits
from tieout.messages.relay import Relay
from tieout.messages.relaying import Relaying
from tieout.messages.store import Inbox

__all__ = ["Inbox", "Outbox", "Relay", "Relaying", "Waits"]
