"""Calls to a downstream that does not know repeats: sent once in their life."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import ANN, age, alarms, close_at_once, key_of, raw, rest, rows, standing, sweep, until
from tests.process.shop import Late, Lost, Prize, redeem
from tieout import Failed, Filter, NotFound, NotSent, Succeeded, Unknown

HOUR = 3_600


@pytest.fixture
def kind():
    return redeem(idempotent=False)


async def marked(app):
    """When the call of the one process was marked as sent, or None."""
    (record,) = await app.database.read(lambda tx: app.store.page(tx, Filter()))
    return record.calls[0].sent


async def test_the_mark_is_committed_before_the_call(place, shop, kind):
    """Whoever finds the process later knows that it may have been sent, even if the sender died in the call."""
    app = await place.open(kind, shop=shop)
    shop.will("issue", Lost())
    await app.start(kind(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    assert await marked(app) is not None


async def test_it_is_not_sent_again_after_a_crash(place, shop, kind):
    """The sender dies in the call: another node asks, and never sends."""
    app = await place.open(kind, shop=shop)
    shop.will("issue", Lost())
    process = await app.start(kind(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    await close_at_once(app)
    other = await place.open(kind, shop=shop)
    for _ in range(4):
        await sweep(other)
        await age(other, process, HOUR)
    assert len(shop.sent) == 1
    process = await other.get(process.id)
    assert (process.status, process.note) == ("held", "sent-once")
    (alarm,) = await alarms(other)
    assert (alarm.kind, alarm.object) == ("unconfirmed", process.id)


async def test_it_is_sent_when_it_bears_no_mark(place, shop, kind):
    """The starter died before the mark: it was certainly not sent, and the sweep sends it."""
    app = await place.open(kind, shop=shop)
    app.worker.draining = True
    process = await app.start(kind(request_id="r1", user="ann"))
    assert shop.sent == []
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert (len(shop.sent), len(shop.asked)) == (1, 0)


async def test_not_found_before_the_settle_time_waits(place, shop):
    """Before it is held, the downstream is given time to see its own order."""
    app, process = await standing(place, shop, idempotent=False)
    await sweep(app)
    assert (await app.get(process.id)).note == "not found yet"
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_without_a_query_it_is_held(place, shop):
    """Nobody can ask, and nothing may be sent: held as soon as whoever marked it cannot be about to send it."""
    app, process = await standing(place, shop, idempotent=False, query=False)
    await sweep(app)
    assert (await app.get(process.id)).status == "running"
    await age(app, process, HOUR)
    await sweep(app)
    process = await app.get(process.id)
    assert (process.status, process.note) == ("held", "sent-once")
    assert len(shop.sent) == 1


async def test_an_operator_cannot_make_it_be_sent_twice(place, shop):
    """Resuming or retrying a held process asks again; it never sends."""
    app, process = await standing(place, shop, idempotent=False)
    await age(app, process, HOUR)
    await sweep(app)
    for _ in range(3):
        await app.operate.resume(raw(process), ANN)
        await sweep(app)
        assert (await app.get(process.id)).status == "held"
    assert len(shop.sent) == 1


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), NotSent("pool is full")], ids=repr)
async def test_a_send_that_never_left_takes_its_mark_back(place, shop, kind, error):
    """A refused connection has not been a send: the call is tried again."""
    app = await place.open(kind, shop=shop)
    shop.will("issue", error)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert await marked(app) is None
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert shop.asked == []


@pytest.mark.parametrize("error", [ConnectionResetError("cut"), TimeoutError(), ValueError("html")], ids=repr)
async def test_an_error_takes_no_mark_back(place, shop, kind, error):
    """Any other exception says nothing about what was sent: the call stays marked, and is never sent again."""
    app = await place.open(kind, shop=shop)
    shop.will("issue", error)
    await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert await marked(app) is not None
    await sweep(app)
    assert len(shop.sent) == 1
    assert len(shop.asked) == 1


async def test_a_query_that_never_left_takes_no_mark_back(place, shop):
    """A query whose connection is refused says nothing about the call, which stays sent."""
    app, _process = await standing(place, shop, idempotent=False)
    shop.will("find", *[ConnectionRefusedError("no")] * 3)
    for _ in range(3):
        await sweep(app)
        assert await marked(app) is not None
    assert len(shop.sent) == 1


async def test_a_report_settles_it(place, shop):
    """The downstream's own word moves it, whatever it was held for."""
    app, process = await standing(place, shop, idempotent=False)
    await age(app, process, HOUR)
    await sweep(app)
    assert await app.report(key_of(process), Succeeded(Prize("A1"))) == "kept"
    await app.operate.resume(raw(process), ANN)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert len(shop.sent) == 1


async def test_of_two_nodes_one_sends(place, shop):
    """A node that lost the race for the mark sends nothing, though the process still stands where it was."""
    kind = redeem(idempotent=False, timeout=5)
    first, second = [await place.open(kind, shop=shop) for _ in range(2)]
    first.worker.draining = True
    process = await first.start(kind(request_id="r1", user="ann"))
    record = await first.engine.read(raw(process))
    answer = Late(Succeeded(Prize("A1")))
    shop.will("issue", answer)
    tries = [asyncio.create_task(node.engine.driving.at_once(record)) for node in (first, second)]
    await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    answer.go.set()
    await asyncio.gather(*tries)
    assert len(shop.sent) == 1


async def test_a_late_answer_counts(place, shop, kind):
    """The one send may take longer than its time-out."""
    app = await place.open(kind, shop=shop)
    answer = Late(Failed("sold-out"))
    shop.will("issue", answer)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    answer.go.set()
    assert (await app.wait(process.id, 60)).state == "refunded"


async def test_past_the_keys_life_an_unsent_call_is_held(place, shop):
    """A call that was never sent is not sent either once its key has expired."""
    kind = redeem(idempotent=False, key_valid="1h")
    app = await place.open(kind, shop=shop)
    app.worker.draining = True
    process = await app.start(kind(request_id="r1", user="ann"))
    await age(app, process, HOUR + 1)
    await sweep(app)
    assert (await app.get(process.id)).note == "key-expired"
    assert shop.sent == []


async def test_what_was_found_unknown_is_asked_again(place, shop):
    """Unknown answers of the query keep it running: only "not found" after the settle time holds it."""
    app, process = await standing(place, shop, idempotent=False)
    await age(app, process, HOUR)
    shop.will("find", Unknown("?"), Unknown("?"), NotFound())
    await sweep(app)
    await sweep(app)
    assert (await app.get(process.id)).status == "running"
    await sweep(app)
    assert (await app.get(process.id)).status == "held"
    assert (await rows(app, "SELECT count(*) FROM tieout_alarm")) == [(1,)]
