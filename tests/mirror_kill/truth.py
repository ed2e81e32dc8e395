"""What the supplier of a play says: its hotels, what each night costs, and what it pushes; kept in one file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

DAYS = 6
PRICE = 100
"""What a night costs until it is changed."""


def zone() -> str:
    """A zone in which it is about noon: no play meets a midnight, at which a day goes and another one comes."""
    return _west_of_greenwich(datetime.now(UTC).hour - 12)


def zone_elsewhere() -> str:
    """A zone in which it is the small hours of the next day or, where there is none, late on the day before."""
    offset = datetime.now(UTC).hour - 12
    return _west_of_greenwich(offset - 14 if offset >= 0 else offset + 14)


LATE_ROLLOVER = 20 * 3_600
"""Seconds after midnight at which the day before ends: not before the evening."""


def _west_of_greenwich(hours: int) -> str:
    return f"Etc/GMT{hours:+d}" if hours else "Etc/GMT"


@dataclass
class Truth:
    """What is true throughout a play. Nights are named by an item and a day.

    Some groups have a zone of their own; the days of some end late.
    """

    zone: str
    today: date
    groups: dict[str, list[str]]
    prices: dict[tuple[str, date], int] = field(default_factory=dict)
    closed: set[tuple[str, date]] = field(default_factory=set)
    pushes: dict[str, bytes] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)

    @classmethod
    def plain(cls, hotels: int) -> Truth:
        """Hotels h0, h1, … with two rooms each, open at one price."""
        where = zone()
        groups = {f"h{number}": [f"h{number}-a", f"h{number}-b"] for number in range(hotels)}
        return cls(where, datetime.now(ZoneInfo(where)).date(), groups)

    def day(self, ahead: int) -> date:
        return self.today + timedelta(days=ahead)

    def days_of(self, group: str) -> list[date]:
        """The days of a group that are open."""
        today = self.today - timedelta(days=1) if group in self.late else self.today
        if group in self.zones:
            today = datetime.now(ZoneInfo(self.zones[group])).date()
        return [today + timedelta(days=ahead) for ahead in range(DAYS)]

    def night(self, item: str, day: date) -> tuple[int, bool]:
        """Its price, and whether it is open."""
        return self.prices.get((item, day), PRICE), (item, day) not in self.closed

    def cells(self, item: str, first: date, count: int) -> dict[str, list[Any]]:
        """Nights of an item, as an answer or a push has them."""
        nights = [self.night(item, first + timedelta(days=number)) for number in range(count)]
        return {"price": [price for price, _ in nights], "open": [is_open for _, is_open in nights]}

    def push(self, message: str, kind: str, group: str, ahead: int, count: int, *items: str, **more: Any) -> None:
        """Have a message tell what is true of some nights, or only that they have changed."""
        first = self.day(ahead)
        change: dict[str, Any] = {"kind": kind, "group": group, "first": first.isoformat(), "count": count}
        if kind != "thin":
            change["items"] = {item: self.cells(item, first, count) for item in items}
        told = {"changes": [change], "at": datetime.now(UTC).isoformat(), **more}
        self.pushes[message] = json.dumps(told).encode()

    def save(self, path: Path) -> None:
        """Write it where nodes find it."""
        path.write_text(
            json.dumps(
                {
                    "zone": self.zone,
                    "today": self.today.isoformat(),
                    "groups": self.groups,
                    "prices": [[item, day.isoformat(), price] for (item, day), price in self.prices.items()],
                    "closed": [[item, day.isoformat()] for item, day in self.closed],
                    "pushes": {message: body.decode() for message, body in self.pushes.items()},
                    "zones": self.zones,
                    "late": sorted(self.late),
                }
            )
        )

    @classmethod
    def read(cls, path: Path) -> Truth:
        """What `save` wrote."""
        told = json.loads(path.read_text())
        return cls(
            told["zone"],
            date.fromisoformat(told["today"]),
            told["groups"],
            {(item, date.fromisoformat(day)): price for item, day, price in told["prices"]},
            {(item, date.fromisoformat(day)) for item, day in told["closed"]},
            {message: body.encode() for message, body in told["pushes"].items()},
            told["zones"],
            set(told["late"]),
        )
