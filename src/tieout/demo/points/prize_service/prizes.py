"""The business: prizes, and calls back that are told until acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .plan import CLAIMS, CONTRADICTIONS, Plan
from .store import Store
from .telling import Way

TRIES = {"callback": 1_000, "message": 8}
"""How often it is told by each way; a message is told no more after some seconds: whoever wants to know can ask."""

MESSAGE_SHARE = 0.5
"""Of what is told where there is a broker; a contradiction is always called back, until it is acknowledged."""

CALLBACK_BACKOFF_SECONDS = 1.0
CALLBACKS_AT_ONCE = 32


class Order(NamedTuple):
    """A request for a prize."""

    key: str
    sku: str
    quantity: int


class KeyReusedError(Exception):
    """This key was used for another order."""


class BusyError(Exception):
    """Somebody is at work on this key."""


class PrizeService:
    """The business: prizes and the calls back about them, each kept before it is told."""

    def __init__(self, store: Store, ways: Mapping[str, Way], conflict_log: Path) -> None:
        self.store = store
        self.plan = Plan()
        self.attempts: Counter[tuple[str, str]] = Counter()
        self._ways = ways
        self._conflict_log = conflict_log
        self._sending: dict[str, asyncio.Task[None]] = {}

    async def load_plan(self) -> None:
        """Take up the plan of the time before a kill."""
        async with self.store.transaction() as fetch:
            for row in await fetch("SELECT body FROM plan"):
                self.plan.take(json.loads(row["body"]))

    async def keep_plan(self, body: dict[str, Any]) -> None:
        """Follow an order from now on, kills included."""
        self.plan.take(body)
        name = str(body.get("key", ""))
        async with self.store.transaction() as fetch:
            await fetch("DELETE FROM plan WHERE name = $1", name)
            await fetch("INSERT INTO plan VALUES ($1, $2)", name, json.dumps(body))

    async def issue(self, order: Order, *, pending: bool) -> Any:
        """The prize of this key: made, with the calls back that the plan wants, unless it was there.

        Raise `KeyReusedError` when the key was for another order.
        """
        made, calls = self.new_prize(order, pending=pending)
        find, make = (
            "SELECT * FROM prize WHERE order_key = $1",
            "INSERT INTO prize VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        async with self.store.transaction() as fetch:
            if not await fetch(find, order.key):
                await fetch(make, *made.values())
                for call in calls:
                    await fetch("INSERT INTO callback VALUES ($1, $2, $3, $4, 0, 'waiting', $5)", *call.values())
            prize = (await fetch(find, order.key))[0]
        if (prize["sku"], prize["quantity"]) != order[1:]:
            raise KeyReusedError
        return prize

    def new_prize(self, order: Order, *, pending: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A prize that is being made, and the calls back about it, as the plan wants both: rows, column by column."""
        result = self.plan.behaviour("result", order.key)
        now = time.time()
        ready = now + (self.plan.between((0.8, 2.5), order.key, "ready") if pending else 0.0)
        turns = ready + self.plan.between((0.5, 2.0), order.key, "turns")
        code = blake2b(order.key.encode(), digest_size=6).hexdigest().upper()
        told = enumerate(self._calls_back(order.key, result, ready, turns))
        way = self._way(order.key, result)
        calls = [
            {"id": f"{order.key}/{n}", "order_key": order.key, "status": status, "due": due, "way": way}
            for n, (status, due) in told
        ]
        made = {"code": code, "status": CLAIMS[result][1], "result": result}
        ordered = {"order_key": order.key, "sku": order.sku, "quantity": order.quantity}
        times = {"created": now, "ready_at": ready, "turns_at": turns, "issued_at": int(now * 1e6)}
        return {**ordered, **made, **times}, calls

    def _way(self, key: str, result: str) -> str:
        is_insisted = result in CONTRADICTIONS or "message" not in self._ways
        return "callback" if is_insisted or self.plan.dice("way", key) >= MESSAGE_SHARE else "message"

    def _calls_back(self, key: str, result: str, ready: float, turns: float) -> list[tuple[str, float]]:
        first, last = CLAIMS[result]
        due = ready + self.plan.between((0.02, 0.5), key, "callback")
        if result in CONTRADICTIONS:  # told until acknowledged: else nobody could say that the caller knows of it
            return [(first, due), (last, turns)]
        return {
            "none": [],
            "once": [(first, due)],
            "twice": [(first, due), (first, due + 0.3)],
            "late": [(first, due + self.plan.between((2.0, 4.0), key, "late"))],
            "reordered": [(first, due), ("PENDING", due + 0.2)],
        }[self.plan.behaviour("callback", key)]

    async def find(self, key: str) -> Any:
        """The prize of this key, or None; raise `BusyError` while it is being made."""
        async with self.store.transaction() as fetch:
            rows = await fetch("SELECT * FROM prize WHERE order_key = $1", key)
        return rows[0] if rows else None

    async def status(self) -> dict[str, int]:
        """Counts of prizes and of calls back by state."""
        async with self.store.transaction() as fetch:
            prizes = await fetch("SELECT count(*) AS n FROM prize")
            states = await fetch("SELECT state, count(*) AS n FROM callback GROUP BY state")
        calls = {row["state"]: row["n"] for row in states}
        waiting, abandoned = calls.get("waiting", 0), calls.get("abandoned", 0)
        return {"prizes": prizes[0]["n"], "waiting": waiting, "abandoned": abandoned}

    async def call_back(self) -> None:
        """Tell what is due, for ever; run it as a task."""
        sql = "SELECT * FROM callback WHERE state = 'waiting' AND due <= $1 ORDER BY due LIMIT $2"
        try:
            while True:
                async with self.store.transaction() as fetch:
                    due = await fetch(sql, time.time(), CALLBACKS_AT_ONCE)
                for row in due:
                    if row["id"] not in self._sending and len(self._sending) < CALLBACKS_AT_ONCE:
                        self._sending[row["id"]] = asyncio.create_task(self._send(row))
                await asyncio.sleep(0.05)
        finally:
            for way in self._ways.values():
                await way.close()

    async def _send(self, row: Any) -> None:
        try:
            acknowledged = await self._told(row)
            await (self._acknowledged(row) if acknowledged else self._postpone(row))
        finally:
            del self._sending[row["id"]]

    async def _told(self, row: Any) -> bool:
        async with self.store.transaction() as fetch:
            prize = (await fetch("SELECT * FROM prize WHERE order_key = $1", row["order_key"]))[0]
        return await self._ways[row["way"]].tell(row["id"], report(prize, row["status"]))

    async def _postpone(self, row: Any) -> None:
        wait = min(CALLBACK_BACKOFF_SECONDS, 0.05 * 2 ** min(row["tries"], 10))
        state = "waiting" if row["tries"] + 1 < TRIES[row["way"]] else "abandoned"
        sql = "UPDATE callback SET tries = tries + 1, due = $2, state = $3 WHERE id = $1"
        async with self.store.transaction() as fetch:
            await fetch(sql, row["id"], time.time() + wait, state)

    async def _acknowledged(self, row: Any) -> None:
        open_claims = "SELECT id FROM callback WHERE order_key = $1 AND state <> 'acknowledged'"
        async with self.store.transaction() as fetch:
            await fetch("UPDATE callback SET state = 'acknowledged' WHERE id = $1", row["id"])
            result = (await fetch("SELECT result FROM prize WHERE order_key = $1", row["order_key"]))[0]["result"]
            if result in CONTRADICTIONS and not await fetch(open_claims, row["order_key"]):
                # Before the commit: a kill between the two repeats the call back and this line, and loses neither.
                self._log_conflict(row["order_key"], result)

    def _log_conflict(self, key: str, result: str) -> None:
        line = json.dumps({"key": key, "result": result, "at": time.time()}) + "\n"
        with self._conflict_log.open("a") as log:
            log.write(line)
            log.flush()
            os.fsync(log.fileno())


def message(prize: Any, status: str) -> dict[str, Any]:
    """What is told about a prize whose status is said to be this."""
    told: dict[str, Any] = {
        "key": prize["order_key"],
        "status": status,
        "sku": prize["sku"],
        "quantity": prize["quantity"],
    }
    if status == "SUCCEEDED":
        told["code"] = prize["code"]
        told["sku"] += "-b" if prize["result"] == "mislabelled" else ""
    if status == "FAILED":
        told["reason"] = "out_of_stock"
    return told


def report(prize: Any, status: str) -> dict[str, Any]:
    """The same as its caller wants to be told of what became of a call."""
    told = message(prize, status)
    call = {"call_key": told.pop("key"), "outcome": told.pop("status").lower()}
    if status == "SUCCEEDED":
        return {**call, "value": told}
    return {**call, "code": told["reason"]} if status == "FAILED" else call


def claim(prize: Any) -> str:
    """The status that is claimed now."""
    now = time.time()
    if now < prize["ready_at"]:
        return "PENDING"
    return CLAIMS[prize["result"]][now >= prize["turns_at"]]
