"""The downstreams: what they do, what they say they did, and how often that is not the same.

Each keeps its own books, by call key. `Prizes` knows its keys, for as long as it promises; a request with a known key
gets the first answer. `parcels` and `messages` do what they are asked each time, and only the first of them can be
asked what became of it. A lie is planned when an order is made: one claim that contradicts the true one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.business import Reply
from tests.simulation.evidence import Claim, Effect, Evidence
from tests.simulation.faults import Rates
from tests.simulation.scheduler import SECOND

KEY_VALID = {"redeem": 60 * SECOND, "gift": 45 * SECOND, "bundle": 60 * SECOND, "trip": 60 * SECOND}
"""For how long the prize service remembers a key of each kind of process."""

ABSURD = (-1.0, 1e9, float("inf"), float("nan"), 1e-9)


@dataclass(slots=True)
class Order:
    """What a downstream knows of one call key; at `final_at` it is done, from `visible_at` on its query sees it."""

    key: str
    received: int
    final_at: int
    visible_at: int
    truth: Reply
    lie: Reply | None
    lie_first: bool
    forgotten_at: int | None


class Downstream:
    """One service. `remembers` says for how long it knows a key, counted from the first time that it came."""

    def __init__(
        self, name: str, chance: Random, rates: Rates, evidence: Evidence, counts: Counter[str], *, idempotent: bool
    ) -> None:
        self.name = name
        self.chance = chance
        self.rates = rates
        self.evidence = evidence
        self.counts = counts
        self.idempotent = idempotent
        self.orders: dict[str, Order] = {}

    def receive(self, key: str, args: dict[str, Any], now: int, remembers: int | None) -> tuple[Order, bool]:
        """Act on a request; the order, and whether it is new."""
        order = self.orders.get(key)
        if order is not None and order.forgotten_at is not None and now >= order.forgotten_at:
            order = None
        if order is not None and self.idempotent:
            return order, False
        fresh = self._act(key, args, now, None if remembers is None else now + remembers)
        if order is None:
            self.orders[key] = fresh
        return self.orders[key], order is None

    def answer(self, order: Order, now: int) -> Reply:
        """What it answers to a request."""
        if now < order.final_at:
            self.counts["answer pending"] += 1
            return self._pending(order, now)
        return self._said(order, now)

    def find(self, key: str, now: int) -> Reply:
        """What it answers to a query."""
        order = self.orders.get(key)
        if order is None:
            return Reply("missing")
        if order.forgotten_at is not None and now >= order.forgotten_at:
            self.counts["downstream forgot"] += 1
            return Reply("missing")
        if now < order.visible_at:
            self.counts["not found though done"] += 1
            return Reply("missing")
        return self.answer(order, now)

    def truth(self, key: str) -> Reply | None:
        """What really became of a call, once that is so."""
        order = self.orders.get(key)
        return None if order is None else order.truth

    def claim(self, order: Order, reply: Reply, now: int, *, heard: bool) -> None:
        """Note that it has said so."""
        kind = "succeeded" if reply.word == "succeeded" else "failed"
        self.evidence.claims.append(Claim(now, order.key, kind, reply.code, reply.sku, heard))

    def _said(self, order: Order, now: int) -> Reply:
        reply = order.truth
        if order.lie is not None and order.lie_first and now < order.final_at + 20 * SECOND:
            self.counts["lie told first"] += 1
            reply = order.lie
        self.claim(order, reply, now, heard=False)
        return reply

    def _pending(self, order: Order, now: int) -> Reply:
        if self.chance.random() < self.rates.absurd_after:
            self.counts["absurd retry-after"] += 1
            return Reply("pending", after=self.chance.choice(ABSURD))
        return Reply("pending", after=self.chance.choice((None, 1.0, 5.0)))

    def _act(self, key: str, args: dict[str, Any], now: int, forgotten_at: int | None) -> Order:
        chance, rates = self.chance, self.rates
        serial = f"{self.name[0]}{len(self.evidence.effects) + 1}"
        sku = args["sku"]
        if chance.random() < rates.fails:
            truth = Reply("failed", "sold-out")
        else:
            truth = Reply("succeeded", serial, sku)
            self.evidence.effects.append(Effect(now, self.name, key, serial, args))
        takes = chance.randrange(1, 25 * SECOND) if chance.random() < rates.pending else 0
        lie = self._lie(truth, sku) if chance.random() < rates.lies else None
        if lie is not None:
            self.evidence.planted.add(key)
        lag = chance.randrange(rates.lag) if rates.lag else 0
        lie_first = lie is not None and chance.random() < 0.5
        return Order(key, now, now + takes, now + lag, truth, lie, lie_first, forgotten_at)

    def _lie(self, truth: Reply, sku: str) -> Reply:
        if truth.word == "failed":
            self.counts["lie: other kind"] += 1
            return Reply("succeeded", "never", sku)
        kind = self.chance.choice(("kind", "identity", "echo"))
        if kind == "echo" and self.name == "prizes":
            self.counts["lie: other echo"] += 1
            return Reply("succeeded", truth.code, "other")
        if kind == "kind" or self.name == "messages":
            self.counts["lie: other kind"] += 1
            return Reply("failed", "changed-its-mind")
        self.counts["lie: other identity"] += 1
        return Reply("succeeded", "other", sku)
