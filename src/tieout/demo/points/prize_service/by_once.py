"""The same business behind tieout's `@app.once`, instead of an idempotency of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tieout import Absent, Answered, App, KeyInFlight, ParamsChanged, Transaction

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .prizes import BusyError, KeyReusedError, Order, PrizeService
from .store import Store

WAIT = 0.5
"""Seconds that a duplicate waits for the request that is at work: less than a caller waits for its answer."""


class OncePrizeService(PrizeService):
    """Makes prizes under `once`: nothing in its own tables keeps a key from being issued twice."""

    def __init__(self, app: App, store: Store, callback_url: str, conflict_log: Path) -> None:
        super().__init__(store, callback_url, conflict_log)
        self._pending: set[str] = set()
        self._issue = app.once("issue-prize", wait=WAIT)(self._make)

    async def issue(self, order: Order, *, pending: bool) -> Any:
        """The prize of this key: made now, or the first time."""
        if pending:
            self._pending.add(order.key)
        try:
            answered = await self._issue.run(order.key, number=order.key, sku=order.sku, quantity=order.quantity)
        except ParamsChanged as error:
            raise KeyReusedError from error
        except KeyInFlight as error:
            raise BusyError from error
        finally:
            self._pending.discard(order.key)
        return answered.value

    async def find(self, key: str) -> Any:
        """The prize of this key, or None; raise `BusyError` while it is being made."""
        match await self._issue.find(key):
            case Answered(prize):
                return prize
            case Absent():
                return None
            case _:
                raise BusyError

    async def _make(self, tx: Transaction, number: str, sku: str, quantity: int) -> dict[str, Any]:
        prize, calls = self.new_prize(Order(number, sku, quantity), pending=number in self._pending)
        await tx.execute(
            "INSERT INTO prize (key, sku, quantity, code, status, result, created, ready_at, turns_at)"
            " VALUES (:key, :sku, :quantity, :code, :status, :result, :created, :ready_at, :turns_at)",
            **prize,
        )
        sql = (
            "INSERT INTO callback (id, key, status, due, tries, state) VALUES (:id, :key, :status, :due, 0, 'waiting')"
        )
        await tx.execute_many(sql, calls)
        return prize
