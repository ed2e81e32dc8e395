"""Messages as the relay hands them to a channel."""

from __future__ import annotations

from tieout.contracts import Message

SECOND = 1_700_000_000_000_000
"""A moment, in microseconds."""


def message(number, topic, body=b"{}", headers=None, key=""):
    return Message(f"{number:032x}", topic, key, headers or {}, body, SECOND)
