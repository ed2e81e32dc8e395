"""Some suppliers push what has changed, signed by Standard Webhooks; and somebody else tries to push as well."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .faults import POISON
from .inventory import RULES, Inventory

EVERY_SECONDS = 0.5
"""How long changes wait, to be told together."""

MOST_CHANGES = 200
"""Changes of one message; what is more is not told: a push is no promise."""

TOLD_SHARE = 0.7
"""Of the changes; the others only a query finds."""

TWICE_SHARE = 0.2
FORGED_SHARE = 0.5
TRIES = 3


class Door(NamedTuple):
    """Where to push to, and the secret that every sender's key is made of."""

    url: str
    secret: bytes

    def key(self, supplier: str) -> bytes:
        """The key of one supplier."""
        return hmac.digest(self.secret, supplier.encode(), "sha256")


class Message(NamedTuple):
    """What is posted: for which supplier, its body, and its headers."""

    supplier: str
    body: bytes
    headers: dict[str, str]


class Pushes:
    """Tells the changes of some inventories, and forges messages in their name."""

    def __init__(self, door: Door, inventories: list[Inventory], seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._door = door
        self._seen = {inventory.name: len(inventory.changes) for inventory in inventories}
        self._inventories = inventories
        self._chance = Random(f"pushes {seed}")
        self._numbers = 0

    async def run(self) -> None:
        """Push for ever."""
        async with ClientSession(timeout=ClientTimeout(total=5)) as http:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await asyncio.gather(*(self._push(http, inventory) for inventory in self._inventories))

    async def _push(self, http: ClientSession, inventory: Inventory) -> None:
        body = self._told(inventory)
        if body is None:
            return
        message = self._signed(inventory.name, body)
        outcome = await self._post(http, message)
        for _ in range(TRIES):
            if outcome != "unanswered":
                break
            outcome = await self._post(http, message)
        self.outcomes[outcome] += 1
        if self._chance.random() < TWICE_SHARE:
            self.outcomes[f"again {await self._post(http, message)}"] += 1
        if self._chance.random() < FORGED_SHARE:
            outcome = await self._post(http, self._forged(inventory.name, body))
            self.outcomes["forged accepted" if outcome in ("accepted", "duplicate") else "forged refused"] += 1

    def _told(self, inventory: Inventory) -> bytes | None:
        """What has changed since the last message, as it is now; nothing of most of it, when it is very much."""
        new = inventory.changes[self._seen[inventory.name] :]
        self._seen[inventory.name] = len(inventory.changes)
        told = [change for change in new if self._chance.random() < TOLD_SHARE][:MOST_CHANGES]
        if not told:
            return None
        at = datetime.now(UTC).isoformat()
        changes = [_change(inventory, one.row, one.first, len(one.price)) for one in told]
        return json.dumps({"at": at, "changes": changes}).encode()

    def _signed(self, supplier: str, body: bytes, *, age: int = 0, key: bytes | None = None) -> Message:
        self._numbers += 1
        name, at = f"{supplier}-{self._numbers}", str(int(time.time()) - age)
        signed = b".".join((name.encode(), at.encode(), body))
        mark = base64.b64encode(hmac.digest(key or self._door.key(supplier), signed, "sha256")).decode()
        headers = {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": f"v1,{mark}"}
        return Message(supplier, body, headers)

    def _forged(self, supplier: str, body: bytes) -> Message:
        """A message with a price that is never true, which nobody entitled has signed."""
        told = json.loads(body)
        for change in told["changes"]:
            for room in change["items"].values():
                room["price"] = [POISON] * change["count"]
        poison = json.dumps(told).encode()
        match self._chance.randrange(5):
            case 0:
                return Message(supplier, poison, {})
            case 1:
                return self._signed(supplier, body)._replace(body=poison)
            case 2:
                return self._signed(supplier, poison, key=b"k" * 32)
            case 3:
                return self._signed(supplier, poison, age=3_600)
        return self._signed("stranger", poison)._replace(supplier=supplier)

    async def _post(self, http: ClientSession, message: Message) -> str:
        headers = message.headers | {"content-type": "application/json"}
        url = f"{self._door.url}/v1/push/{message.supplier}"
        try:
            async with http.post(url, data=message.body, headers=headers) as answer:
                told = await answer.json()
                return str(told["effect"]) if answer.status == 202 else f"refused {answer.status}"
        except (ClientError, TimeoutError, OSError, ValueError):
            return "unanswered"


def _change(inventory: Inventory, row: int, first: int, days: int) -> dict[str, Any]:
    part = row, slice(first, first + days)
    room = inventory.room(row)
    cells = {
        "price": inventory.price[part].tolist(),
        "stock": inventory.stock[part].tolist(),
        "open": (~inventory.closed[part]).tolist(),
        "rules": [RULES[inventory.rule[row]]] * days,
    }
    day = (inventory.first + timedelta(days=first)).isoformat()
    return {"kind": "delta", "group": room.rpartition("-")[0], "first": day, "count": days, "items": {room: cells}}
