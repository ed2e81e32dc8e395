"""A message is a hint: with the broker gone for good, the sweep alone brings every process to its end."""

from __future__ import annotations

import asyncio
import json

import pytest

import tieout
from tests.messages.belt import until
from tests.messages.traffic import CASES
from tieout import Answer, App, Failed, Filter, Found, Next, NotFound, Pending, Sending, Succeeded, Transaction
from tieout.contracts import Message

PROCESSES = 40


class Supplier:
    """Takes orders, and knows what became of each when it is asked."""

    def __init__(self):
        self.orders = {}

    def take(self, key):
        self.orders[key] = f"P{len(self.orders)}"


class Parcel(tieout.Process[Supplier], name="parcel", key="number"):
    """An order that the supplier answers by a message, later."""

    number: str
    sent = tieout.Final[str](publish="broker/nobody.hears")
    lost = tieout.Final[str]()

    @tieout.start(to="order")
    async def begin(self, tx: Transaction) -> Next:
        return self.order.next()

    @tieout.call(timeout=5, query_after=2)
    async def order(self, send: Sending) -> Answer[str]:
        self.deps.take(send.key)
        return Pending()

    @order.query
    async def find(self, send: Sending) -> Found[str]:
        known = self.deps.orders.get(send.key)
        return NotFound() if known is None else Succeeded(known)

    @order.succeeded(to="sent")
    async def done(self, tx: Transaction, parcel: str) -> Next:
        return self.sent(parcel)

    @order.failed(to="lost")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.lost(why.code)


@pytest.mark.parametrize("name", CASES)
async def test_with_the_broker_gone_for_good_every_process_ends(name, tmp_path):
    """Some end by their message before the broker is killed; the others by the sweep, with the same results."""
    case, supplier = CASES[name](), Supplier()
    case.server.start()
    try:
        await case.make("place")
        topic = case.topic("place")

        def app():
            made = App(f"sqlite:///{tmp_path}/a.db", deps=supplier, channels={"broker": case.channel()})
            made.register(Parcel)
            made.consume_reports(f"broker/{topic}")
            return made

        async with app() as first:
            started = [await first.start(Parcel(number=str(n))) for n in range(PROCESSES)]

            async def all_ordered():
                return len(supplier.orders) == PROCESSES

            await until(all_ordered)
            channel = case.channel()
            told = [f"{one.id}:1" for one in started[: PROCESSES // 4]]
            reports = [
                json.dumps({"call_key": key, "outcome": "succeeded", "value": supplier.orders[key]}) for key in told
            ]
            await channel.publish([Message(f"{n:032x}", topic, "", {}, r.encode(), 1) for n, r in enumerate(reports)])
            for key in told:
                assert (await first.wait(key.partition(":")[0], 60)).status == "final"
            await channel.close()
        case.server.kill()
        async with app() as second:
            async with asyncio.timeout(120):
                while await second.list(Filter(status="running")):  # noqa: ASYNC110 - a database tells nobody
                    await asyncio.sleep(0.05)
            ended = await second.list(Filter(limit=2 * PROCESSES))
            assert {one.result for one in ended} == set(supplier.orders.values())
            waiting = await second.database.read(second.outbox.waiting)
            assert [one.messages for one in waiting] == [PROCESSES]
    finally:
        case.server.remove()
