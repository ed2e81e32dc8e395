"""Looks on while rows are committed: counts the rare states, notes leases, and wakes sleeping sweeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.model_alarms import ALARM
from tests.simulation.model_database import ModelTransaction, Values
from tests.simulation.model_statements import CHILD, PROCESS
from tests.simulation.scheduler import SECOND, Ticket

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Watch:
    """What is known of all processes from the rows that were committed."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.scheduler = simulation.scheduler
        self.storm = simulation.storm
        self.raised: dict[bytes, int] = {}
        self.ended: dict[bytes, tuple[int, int]] = {}
        self._commits = 0
        self._running = 0
        self._holders: dict[bytes, Any] = {}
        self._sleepers: dict[Ticket, None] = {}
        simulation.database.changed = self.changed

    def running(self) -> int:
        """How many processes are neither final nor held, nor wait for children that are held."""
        return self._running - sum(self._waits_for_held(party) for party in self._parties()) if self._running else 0

    def _parties(self) -> set[str]:
        return set(self.simulation.evidence.children.values())

    def _waits_for_held(self, party: str) -> bool:
        database, raw = self.simulation.database, bytes.fromhex(party)
        mine = database.tables[PROCESS].get(raw)
        if mine is None or mine.committed is None or mine.committed["status"] != "running":
            return False
        children = [row for row in database.committed(CHILD) if row["parent"] == raw]
        rows = [database.tables[PROCESS].get(row["child"]) for row in children]
        statuses = {slot.committed["status"] for slot in rows if slot is not None and slot.committed is not None}
        return "held" in statuses and "running" not in statuses and all(row["state"] != "pending" for row in children)

    async def until_due(self) -> None:
        """Sleep until something is due: a second at least, as long as it takes at most."""
        ticket = self.scheduler.ticket()
        dues = [row["due"] for row in self.simulation.database.committed(PROCESS) if row["due"] is not None]
        if dues:
            self._wake_at(ticket, max(min(dues), self._server_now() + SECOND))
        self._sleepers[ticket] = None
        await self.scheduler.park()
        self._sleepers.pop(ticket, None)

    def changed(self, tx: ModelTransaction, table: str, before: Values | None, after: Values | None) -> None:
        """A row was committed."""
        self._commits += 1
        if after is None:
            return
        if table == PROCESS:
            self._leases(tx)
            self._process(tx, before or _NOTHING, after)
        elif table == ALARM and before is None:
            self._alarm(after)
        elif table == CHILD and after["final"] == "refused":
            self.storm.saw("child refused")

    def _process(self, tx: ModelTransaction, before: Values, after: Values) -> None:
        key = after["id"]
        if before is _NOTHING:
            self.simulation.counts["processes"] += 1
        self._running += (after["status"] == "running") - (before["status"] == "running")
        if after["due"] is not None and after["due"] != before["due"]:
            for ticket in self._sleepers:
                self._wake_at(ticket, max(after["due"], self._server_now()))
        if after["attempts"] == before["attempts"] + 1 and after["fence"] == before["fence"] + 1:
            self._taken_over(key)
        if after["status"] != before["status"]:
            self._status(key, after)
        if after["duplicates"] != before["duplicates"]:
            self.storm.saw("duplicate report")
        if after["trail"] != before["trail"] and after["status"] != "retired":
            self._moved(after)
        if after["calls"] != before["calls"]:
            self._calls(before, after)
        if after["fence"] != before["fence"]:
            self._holders[key] = tx.owner

    def _leases(self, tx: ModelTransaction) -> None:
        for process, until in tx.granted:
            self.simulation.lease(tx.owner.name, process, until)
        tx.granted.clear()

    def _taken_over(self, key: bytes) -> None:
        holder = self._holders.get(key)
        if holder is not None and not holder.alive:
            self.storm.saw("taken over from a dead node")
        elif holder is not None and holder.frozen is not None:
            self.storm.saw("taken over from a node that stood still")

    def _status(self, key: bytes, after: Values) -> None:
        if after["status"] == "held":
            self.storm.saw(f"held: {after['note'].partition(':')[0]}")
        elif after["status"] == "final":
            self.ended[key] = (self._commits, self.scheduler.now)
            self.storm.saw(f"final: {after['state']}")
        elif after["status"] == "retired":
            self.storm.saw("retired")

    def _moved(self, after: Values) -> None:
        last = json.loads(after["trail"])[-1]
        self.storm.saw(f"moved on by {last['source']}")
        if last["by"] in ("timer", "children"):
            self.storm.saw("moved on by a timer" if last["by"] == "timer" else "moved on by children")
        if last["to"] == "cancelled":
            self.storm.saw("cancelled")
        if last["source"] == "operator":
            self.storm.saw("final by an operator")

    def _calls(self, before: Values, after: Values) -> None:
        earlier, later = json.loads(before["calls"]), json.loads(after["calls"])
        if len(later) > max(len(earlier), 1):
            self.storm.saw("second call opened")
        if sum(not entry.get("closed") for entry in later) == 1 and any("final" in entry for entry in later[-2:-1]):
            self.storm.saw("one of two calls closed")
        for old, new in zip(earlier, later, strict=False):
            if "final" not in old and "final" in new and not new.get("closed"):
                running = after["status"] == "running"
                self.storm.saw("claim kept when its step raised" if running else "claim kept while held")
            if "final" in old and not old.get("closed") and new.get("closed"):
                self.storm.saw("kept claim applied later")

    def _alarm(self, after: Values) -> None:
        self.raised[after["id"]] = self._commits
        self.storm.saw(f"alarm: {after['kind']}")
        if after["kind"] == "conflict":
            self.storm.saw(f"conflict {'after' if after['process'] in self.ended else 'before'} the final")

    def _wake_at(self, ticket: Ticket, server_time: int) -> None:
        wait = server_time - self._server_now() + round(self.scheduler.chance.random() * SECOND)
        self.scheduler.wake_after(ticket, wait)

    def _server_now(self) -> int:
        return self.scheduler.now + self.simulation.database.ahead


_NOTHING: Values = {
    "status": "",
    "due": None,
    "attempts": 0,
    "fence": 0,
    "duplicates": 0,
    "trail": "[]",
    "calls": "[]",
}
