"""What was true when: each night has versions, numbered upwards, so that a value says from when to when it held."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

HOTELS = 5
DAYS = 6
KEPT = DAYS + 2
"""Days of which something is true: those of the copy, and what comes to be of it when a day is over."""

GROUPS = {f"h{number}": (f"h{number}-a", f"h{number}-b") for number in range(HOTELS)}
GROUP_OF = {item: group for group, items in GROUPS.items() for item in items}

MICROS = 1_000_000


class Night(NamedTuple):
    """One cell: a room, and a day as its number since 1970."""

    item: str
    day: int


@dataclass(frozen=True)
class Version:
    """What is true of a night from a moment on, in the server's microseconds; `price` is its number too."""

    price: int
    open: bool
    since: int


@dataclass
class Truth:
    """The versions of every night."""

    first: int
    versions: dict[Night, list[Version]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in GROUP_OF:
            for day in range(self.first, self.first + KEPT):
                self.versions[Night(item, day)] = [Version(1, open=True, since=0)]

    def now(self, night: Night) -> Version:
        """What is true of it now."""
        return self.versions[night][-1]

    def change(self, night: Night, at: int, *, is_open: bool) -> Version:
        """Let it be otherwise from now on."""
        version = Version(self.now(night).price + 1, is_open, at)
        self.versions[night].append(version)
        return version

    def ends(self, night: Night, price: int) -> int:
        """Until when a version held; the end of time for the latest one."""
        versions = self.versions[night]
        return versions[price].since if price < len(versions) else 1 << 62
