"""The prize service in a second edition: the same business, plans and faults, its prizes issued under `@app.once`.

It differs from the first in one thing: nothing in its own tables keeps a key from being issued twice, so that the
auditor would see it. Run it as `python -m tieout.demo.points.prizes_by_once --help`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tieout import Absent, Answered, App, KeyInFlight, ParamsChanged, Transaction
from tieout.demo.points.prize_service.__main__ import application, arguments, serve, ways
from tieout.demo.points.prize_service.prizes import BusyError, KeyReusedError, Order, PrizeService
from tieout.demo.points.prize_service.store import Store, open_store
from tieout.demo.points.prize_service.telling import Way

WAIT = 0.5
"""Seconds that a duplicate waits for the request that is at work: less than a caller waits for its answer."""

PRIZE = (
    "INSERT INTO prize (order_key, sku, quantity, code, status, result, created, ready_at, turns_at, issued_at)"
    " VALUES (:order_key, :sku, :quantity, :code, :status, :result, :created, :ready_at, :turns_at, :issued_at)"
)
CALLBACK = (
    "INSERT INTO callback (id, order_key, status, due, tries, state, way)"
    " VALUES (:id, :order_key, :status, :due, 0, 'waiting', :way)"
)


class OncePrizeService(PrizeService):
    """Makes prizes under `once`."""

    def __init__(self, app: App, store: Store, ways: Mapping[str, Way], conflict_log: Path) -> None:
        super().__init__(store, ways, conflict_log)
        self._pending: set[str] = set()
        self._issue = app.once("issue-prize", wait=WAIT)(self._make)

    async def issue(self, order: Order, *, pending: bool) -> Any:
        """The prize of this key, made now or the first time; raise `KeyReusedError` or `BusyError`."""
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
        await tx.execute(PRIZE, **prize)
        await tx.execute_many(CALLBACK, calls)
        return prize


async def by_once(said: argparse.Namespace) -> web.Application:
    """The edition that leaves it to tieout."""
    db = said.db if "://" in said.db else f"sqlite:///{said.db}"
    app = App(db, sweep=False, migrate=True)
    service = OncePrizeService(app, await open_store(said.db, unique=False), ways(said), said.conflict_log)
    return await application(service, tied=said.tied, around=app)


if __name__ == "__main__":
    said = arguments()
    serve(by_once(said), said.port)
