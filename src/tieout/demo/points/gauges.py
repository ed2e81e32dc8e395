"""What the databases say while the run goes on: enough for the view, and to know when all has come to rest."""

from __future__ import annotations

import json
from collections import Counter

from tieout.demo.points.auditor import WAYS, lines
from tieout.demo.points.picture import Picture, Recent
from tieout.demo.points.places import Places
from tieout.demo.tables import rows

STATUSES = "SELECT status, count(*) AS n FROM tieout_process GROUP BY status"
MOVED = (
    "SELECT id, request_key, state, status, trail, changed FROM tieout_process WHERE changed > {since} ORDER BY changed"
)
ALARMS = "SELECT count(*) AS n FROM tieout_alarm WHERE kind = 'conflict'"
WAITING = "SELECT count(*) AS n FROM callback WHERE state = 'waiting'"
RECENT_SHOWN = 6


class Gauges:
    """Reads both databases; keeps what it has already counted, so that a look costs what is new."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._since = 0
        self._finished: dict[bytes, str] = {}
        self._recent: list[Recent] = []

    async def read(self, picture: Picture) -> None:
        """Fill in what the databases and the conflict log know."""
        picture.statuses = await self.statuses()
        await self._follow()
        ways = Counter(self._finished.values())
        picture.ways = {way: ways[way] for way in WAYS}
        picture.recent = self._recent
        picture.alarmed = (await rows(self._places.mall_db, ALARMS))[0]["n"]
        picture.planted = len({line["key"] for line in lines(self._places.conflict_log)})

    async def statuses(self) -> dict[str, int]:
        """How many processes are running, held and final."""
        found = {row["status"]: row["n"] for row in await rows(self._places.mall_db, STATUSES)}
        return {status: found.get(status, 0) for status in ("final", "running", "held")}

    async def at_rest(self) -> bool:
        """Whether nothing will happen any more: asked in this order, since a process at its end has made its calls."""
        if (await self.statuses())["running"]:
            return False
        return not (await rows(self._places.prizes_db, WAITING))[0]["n"]

    async def _follow(self) -> None:
        for row in await rows(self._places.mall_db, MOVED.format(since=self._since)):
            self._since = row["changed"]
            trail = json.loads(row["trail"])
            if not trail:
                continue
            if row["status"] == "final":
                self._finished[bytes(row["id"])] = trail[-1]["source"]
            moved_by = f"{trail[-1]['source']} ({trail[-1]['by']})"
            recent = Recent(bytes(row["request_key"]).decode(), row["state"], row["status"], moved_by)
            self._recent = [*self._recent, recent][-RECENT_SHOWN:]
