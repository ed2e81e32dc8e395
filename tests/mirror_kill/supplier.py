"""The supplier as a node's class asks it: it says what its file says, and writes down who asked what, and when."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tests.kill.points import Points
from tests.mirror_kill.truth import LATE_ROLLOVER, Truth
from tieout.mirror import Fetched, Group, shape

TAKES = 0.01
"""Seconds from a query to its answer."""

Note = Callable[..., None]


class Log:
    """Lines of JSON that several processes append to, each with the time, which is the same for all of them."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, what: str, **fields: Any) -> None:
        os.write(self._file, f"{json.dumps({'what': what, 'at': time.monotonic(), **fields})}\n".encode())


class Hotels:
    """What `rooms.supplier(...)` is given; each query has a point before, within and after it."""

    shapes = (shape("hotel", max_days=3),)

    def __init__(self, node: str, truth: Truth, log: Log, points: Points) -> None:
        self.node = node
        self.truth = truth
        self.log = log
        self.points = points
        self._asked = 0

    async def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        for name, rooms in self.truth.groups.items():
            rollover = LATE_ROLLOVER if name in self.truth.late else None
            group = Group(name, rooms, self.truth.zones.get(name), rollover)
            yield await self._pass("catalogue", lambda group=group: [group])

    async def fetch(self, group: str, first: date, count: int) -> Fetched:
        items = self.truth.groups[group]
        return await self._pass("fetch", lambda: Fetched({one: self.truth.cells(one, first, count) for one in items}))

    async def check(self, item: str, first: date, count: int) -> dict[str, list[Any]]:
        return await self._pass("check", lambda: self.truth.cells(item, first, count))

    async def _pass(self, kind: str, answer: Callable[[], Any]) -> Any:
        self.points.at(f"before {kind}")
        self._asked += 1
        query = f"{self.node} {self._asked}"
        self.log.note("asked", node=self.node, kind=kind, query=query)
        await asyncio.sleep(TAKES)
        self.points.at(f"during {kind}")
        answered = answer()
        self.log.note("answered", query=query)
        self.points.at(f"after {kind}")
        return answered
