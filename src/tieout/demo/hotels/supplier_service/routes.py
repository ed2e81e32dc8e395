"""All suppliers over HTTP, with the faults that are planned."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import date
from typing import Any

import msgspec

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .faults import Faults
from .gauge import Asked, Gauge, Limit
from .inventory import DAYS, Inventory
from .pushes import Pushes
from .wire import Reply, Request

PAGE = 50
"""Hotels of one page of a catalogue."""

DROPPED_TO = 0.1
"""Share of the hotels that is left in a catalogue which has lost most of them."""

THROTTLE_SECONDS = 1

SLOW = 1.1
"""How long a slow answer takes, in times of what was agreed."""

NOT_FOUND = Reply(404)


class Suppliers:
    """All suppliers; they answer after `latency` seconds, and within `agreed` ones unless they are slow."""

    def __init__(
        self, inventories: list[Inventory], limit: Limit, faults: Faults, *, latency: float, agreed: float
    ) -> None:
        self.inventories = {inventory.name: inventory for inventory in inventories}
        self.gauges = {name: Gauge(limit) for name in self.inventories}
        self.catalogues = 0
        self.faults: Counter[str] = Counter()
        self.moved = 0
        self.pushes: Pushes | None = None
        self._faults = faults
        self._latency = latency
        self._agreed = agreed

    def handle(self, request: Request) -> Reply:
        """Answer a request."""
        try:
            match request.path:
                case ["plan"]:
                    self._faults.take(json.loads(request.body), time.monotonic())
                    return Reply(200)
                case ["figures"]:
                    return Reply(200, msgspec.json.encode(self.figures()))
                case ["truth", supplier, room]:
                    return self._true(self.inventories[supplier], room)
                case ["truth", supplier]:
                    return Reply(200, msgspec.json.encode(self.inventories[supplier].truth()))
                case [supplier, "hotels"]:
                    return self._catalogue(self.inventories[supplier], int(request.query.get("page", 0)))
                case [supplier, "hotels" | "rooms" as what, name]:
                    return self._query(self.inventories[supplier], what, name, request.query)
        except (ValueError, KeyError, TypeError) as error:
            return Reply(400, msgspec.json.encode({"error": f"{type(error).__name__}: {error}"}))
        return NOT_FOUND

    def figures(self) -> dict[str, Any]:
        """What all suppliers have seen, and how often truth has changed."""
        gauges = {name: gauge.figures() for name, gauge in self.gauges.items()}
        pushes = {} if self.pushes is None else self.pushes.outcomes
        counts = {"catalogues": self.catalogues, "changes": self.moved, "faults": self.faults, "pushes": pushes}
        return {"suppliers": gauges, **counts}

    def _strikes(self, inventory: Inventory, *, catalogue: bool = False) -> str | None:
        fault = self._faults.strikes(inventory.name, time.monotonic(), catalogue=catalogue)
        self.faults.update([fault] if fault else [])
        return fault

    def _true(self, inventory: Inventory, room: str) -> Reply:
        row = inventory.row_of_room(room)
        if row is None:
            return NOT_FOUND
        cells = inventory.cells(range(row, row + 1), 0, DAYS)[room]
        return Reply(200, msgspec.json.encode({"first": inventory.first, **cells}))

    def _catalogue(self, inventory: Inventory, page: int) -> Reply:
        self.catalogues += 1
        fault = self._strikes(inventory, catalogue=True)
        if fault == "outage":
            return Reply(0)
        if fault == "cut" and page > 0:
            return Reply(500)
        hotels = inventory.size.hotels
        count = int(hotels * DROPPED_TO) if fault == "drop" else hotels
        numbers = range(page * PAGE, min(count, (page + 1) * PAGE))
        told = {inventory.hotel(n): [inventory.room(row) for row in self._rows(inventory, n)] for n in numbers}
        return Reply(200, msgspec.json.encode({"hotels": told, "more": (page + 1) * PAGE < count}))

    def _query(self, inventory: Inventory, what: str, name: str, query: dict[str, str]) -> Reply:
        now, gauge = time.monotonic(), self.gauges[inventory.name]
        asked = Asked(query["asker"], f"{name}?{query['first']}", what == "rooms")
        allowed = gauge.arrive(asked, now)
        reply = self._answer(inventory, what, name, query) if allowed else self._too_many()
        gauge.answers[str(reply.status) if allowed else "too many"] += 1
        asyncio.get_running_loop().call_later(min(reply.delay, self._agreed), gauge.leave, asked)
        return reply

    def _answer(self, inventory: Inventory, what: str, name: str, query: dict[str, str]) -> Reply:
        days = int(query["days"])
        first = inventory.day_index(date.fromisoformat(query["first"]), days)
        rows = inventory.rows_of_hotel(name) if what == "hotels" else _one(inventory.row_of_room(name))
        if rows is None or first is None:
            return NOT_FOUND
        rooms = inventory.cells(rows, first, days)
        fault = self._strikes(inventory)
        if fault is None:
            self.gauges[inventory.name].units.add(f"{name}?{query['first']}")
            return Reply(200, msgspec.json.encode({"complete": True, "rooms": rooms}), self._latency)
        return self._wrong(fault, rooms)

    def _too_many(self) -> Reply:
        return Reply(429, delay=self._latency, retry_after=THROTTLE_SECONDS)

    def _wrong(self, fault: str, rooms: dict[str, dict[str, Any]]) -> Reply:
        """An answer as a fault makes it."""
        whole = msgspec.json.encode({"complete": True, "rooms": rooms})
        match fault:
            case "outage":
                return Reply(0)
            case "throttle":
                return self._too_many()
            case "slow":
                return Reply(200, whole, self._agreed * SLOW)
            case "partial":
                some = dict(list(rooms.items())[::2])
                return Reply(200, msgspec.json.encode({"complete": False, "rooms": some}), self._latency)
            case "empty":
                return Reply(200, msgspec.json.encode({"complete": True, "rooms": {}}), self._latency)
            case "garbage":
                told = self._faults.garbage(rooms)
                return Reply(200, told.encode() if isinstance(told, str) else msgspec.json.encode(told), self._latency)
        return Reply(500, delay=self._latency)

    def _rows(self, inventory: Inventory, hotel: int) -> range:
        return range(hotel * inventory.size.rooms, (hotel + 1) * inventory.size.rooms)


def _one(row: int | None) -> range | None:
    return None if row is None else range(row, row + 1)
