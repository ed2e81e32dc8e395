"""What is sent together, and how long a refused message waits: decisions without effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from tieout.errors import ConfigError

BODY_BYTES = 1 << 18
"""Longest body of a message: a batch of them still fits in memory, and every broker takes one."""

HEADERS = 32
"""Most headers of a message."""

FIRST_PAUSE = 1_000_000
"""Microseconds until a refused message is sent again; doubled for each further time."""

LONGEST_PAUSE = 300_000_000
"""The longest such pause, in microseconds."""


class Address(msgspec.Struct, frozen=True):
    """Where a message goes: a channel of the App that relays it, and a topic of that channel."""

    channel: str
    topic: str


class Waiting(msgspec.Struct, frozen=True):
    """A message of the outbox; `created` is the server's microseconds. `unreadable` says why its body is empty here."""

    id: int
    message_id: bytes
    topic: str
    key: bytes
    headers: str
    body: bytes
    created: int
    attempts: int
    unreadable: str = ""


def address(text: str) -> Address:
    """An address written `channel/topic`; raise `ConfigError`."""
    channel, slash, topic = text.partition("/")
    if not (channel and slash and topic) or len(text) > 255 or not text.isprintable():
        raise ConfigError(f"an address is written channel/topic, in at most 255 printable characters: not {text!r}")
    return Address(channel, topic)


def waves(batch: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """A batch in parts to be sent one after the other: in each of them no key comes twice, and order is kept."""
    seen: dict[bytes, int] = {}
    numbered: list[tuple[int, Waiting]] = []
    for message in batch:
        number = seen.get(message.key, 0) if message.key else 0
        seen[message.key] = number + 1
        numbered.append((number, message))
    for _, wave in groupby(sorted(numbered, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        yield [message for _, message in wave]


def pause_after(attempts: int) -> int:
    """Microseconds until a message is sent again that was refused `attempts` times before."""
    return min(FIRST_PAUSE << min(attempts, 30), LONGEST_PAUSE)
