"""Calls: the same key and arguments on every try, and unknown is never taken for failed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.process.place import age, alarms, changes, eventually, evidence, key_of, raw, rest, rows, standing, sweep
from tests.process.shop import Late, Lost, Prize, redeem
from tieout import Failed, NotFound, NotSent, Pending, Succeeded, Unknown

HOUR = 3_600


async def test_every_try_sends_the_same(place, shop):
    """Key and arguments of a re-send are those of the first try; only the number of the try grows."""
    app, process = await standing(place, shop)
    for _ in range(3):
        await age(app, process, HOUR)
        shop.will("issue", Unknown("?"))
        await sweep(app)
    assert {sending.key for sending in (*shop.sent, *shop.asked)} == {key_of(process)}
    assert shop.orders == [{"sku": "mug", "quantity": 1}] * 4
    assert [sending.attempt for sending in shop.sent] == sorted({sending.attempt for sending in shop.sent})
    assert all(sending.timeout == 0.05 for sending in shop.sent)


async def test_arguments_are_those_that_were_stored(place, shop):
    """What was stored is sent, also by a node whose code would now send something else."""
    app, process = await standing(place, shop)
    record = await app.engine.read(raw(process))
    calls = record.calls[0].args
    assert bytes(calls) == b'{"sku":"mug","quantity":1}'
    await rows(app, "UPDATE tieout_process SET params = :params", params='{"request_id":"r1","user":"ann","sku":"cup"}')
    await age(app, process, HOUR)
    await sweep(app)
    assert shop.orders[-1] == {"sku": "mug", "quantity": 1}


async def test_a_time_out_is_unknown(place, shop):
    """A call that does not answer in time is neither failed nor sent again: the query decides."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", Lost())
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).state == "issue"
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.trail[0].source, process.trail[0].by) == ("completed", "sweep", "query")
    assert len(shop.sent) == 1


async def test_after_query_after_the_same_worker_asks(place, shop):
    """The worker that made the call asks the query after `query_after`, before any sweep: source "query"."""
    kind = redeem(query_after=0.05)
    app = await place.open(kind, shop=shop)
    shop.will("issue", Lost())
    shop.will("find", Succeeded(Prize("A1")))
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (process.state, process.trail[0].source, process.trail[0].by) == ("completed", "query", "query")
    assert (len(shop.sent), len(shop.asked)) == (1, 1)


async def test_a_late_answer_is_still_reported(place, shop):
    """An answer that comes after the time-out moves the process, as the immediate answer that it is."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    answer = Late(Succeeded(Prize("A1")))
    shop.will("issue", answer)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    answer.go.set()
    process = await app.wait(process.id, 60)
    assert (process.state, process.trail[0].source, process.trail[0].by) == ("completed", "immediate", "call")


async def test_a_late_answer_wakes_whoever_waits(place, shop, monkeypatch):
    """Whoever waits for the process is told at once, and need not look again."""
    monkeypatch.setattr("tieout.app.POLL", 60.0)
    kind = redeem()
    app = await place.open(kind, shop=shop)
    answer = Late(Succeeded(Prize("A1")))
    shop.will("issue", answer)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    waiting = asyncio.create_task(app.wait(process.id, 60))
    await asyncio.sleep(0)
    answer.go.set()
    assert (await asyncio.wait_for(waiting, 60)).state == "completed"


async def test_a_late_answer_that_contradicts_raises_the_alarm(place, shop):
    """Whoever was first, a late answer is judged like any other."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    answer = Late(Succeeded(Prize("A1")))
    shop.will("issue", answer)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    await app.report(key_of(process), Failed("sold-out"))
    answer.go.set()
    assert await eventually(lambda: alarms(app, "conflict"))
    assert (await app.get(process.id)).state == "refunded"


@pytest.mark.parametrize("error", [ConnectionRefusedError(), socket.gaierror(), NotSent("full")], ids=repr)
async def test_what_was_not_sent_is_sent_again(place, shop, error):
    """A refused connection or an unknown name has not reached anybody: the call is tried again, with its key."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", error)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    await age(app, process, HOUR)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert [sending.key for sending in shop.sent] == [key_of(process)] * 2


class ConnectError(Exception):
    """What httpx calls it; it shares no base with the standard library's."""


async def test_http_clients_say_not_sent_in_their_own_words(place, shop):
    """The errors of HTTP clients for a connection that was never made are known by name."""
    app, process = await standing(place, shop)
    shop.will("find", ConnectError("refused"))
    await sweep(app)
    assert (await app.get(process.id)).note == "not sent: ConnectError: refused"


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("cut"), OSError("?"), ValueError("html"), TimeoutError(), asyncio.CancelledError()],
    ids=repr,
)
async def test_any_other_error_is_unknown(place, shop, error):
    """An exception of a handler says nothing about what the downstream did."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", error)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert len(shop.sent) == 1


GARBAGE = {
    "nothing": None,
    "text": "<html>login</html>",
    "bytes": b"\xff",
    "a class": Succeeded,
    "wrong value": Succeeded("A1"),
    "wrong field": Succeeded({"code": 5}),
    "field missing": Succeeded({}),
    "NaN": Succeeded({"code": float("nan")}),
    "broken text": Succeeded(Prize("\ud800")),
    "object": Succeeded(object()),
    "code of another type": Failed(404),
    "when": Pending("soon"),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_that_makes_no_sense_is_unknown(place, shop, garbage):
    """Garbage moves nothing; it is kept as the evidence of an alarm, and the query finds out."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", garbage)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.object, alarm.process) == ("unfit-answer", key_of(process), raw(process))
    assert (await evidence(app, alarm)) == [{"raw": repr(garbage)[:2_000]}]
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_garbage_of_the_query_is_unknown_too(place, shop):
    """A query that answers nonsense moves nothing."""
    app, process = await standing(place, shop)
    shop.will("find", {"status": "OK"})
    await sweep(app)
    assert (await app.get(process.id)).status == "running"
    assert [alarm.kind for alarm in await alarms(app)] == ["unfit-answer"]


@pytest.mark.parametrize(("after", "least", "most"), [(30, 29, 31), (0, -1, 1), (1e9, 3_599, 3_601)])
async def test_pending_says_when_to_ask_again(place, shop, after, least, most):
    """The downstream's wish is honoured, within an hour."""
    app, process = await standing(place, shop)
    shop.will("find", Pending(after=after))
    await sweep(app)
    process = await app.get(process.id)
    (now,) = (await rows(app, "SELECT {now}"))[0]
    assert least <= (process.due - now) / 1e6 <= most
    assert process.note == "pending"


async def test_pending_at_once_says_when_to_ask_too(place, shop):
    """An immediate answer "pending, ask in ten minutes" is not asked about any sooner."""
    kind = redeem(query_after=0.01)
    app = await place.open(kind, shop=shop)
    shop.will("issue", Pending(after=600))
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    process = await app.get(process.id)
    (now,) = (await rows(app, "SELECT {now}"))[0]
    assert 590 <= (process.due - now) / 1e6 <= 601
    assert shop.asked == []


async def test_without_a_wish_the_back_off_grows_up_to_its_cap(place, shop):
    """Each look that finds nothing waits longer than half of the one before doubled, and at most the cap."""
    app, process = await standing(place, shop, query_after=10, retry_cap=100)
    waits = []
    for _ in range(6):
        shop.will("find", Unknown("?"))
        await sweep(app)
        process = await app.get(process.id)
        (now,) = (await rows(app, "SELECT {now}"))[0]
        waits.append((process.due - now) / 1e6)
    for attempt, wait in enumerate(waits):
        full = min(10 * 2**attempt, 100)
        assert full / 2 - 1 <= wait <= full


async def test_not_found_before_the_settle_time_is_not_believed(place, shop):
    """The downstream may not see its own order yet: nothing is sent again."""
    app, process = await standing(place, shop)
    await age(app, process, 119)
    await sweep(app)
    process = await app.get(process.id)
    assert (process.status, process.note) == ("running", "not found yet")
    assert (len(shop.sent), len(shop.asked)) == (1, 1)


async def test_not_found_after_the_settle_time_sends_again(place, shop):
    """The call is sent once more with its key, and its own settle time begins."""
    app, process = await standing(place, shop)
    await age(app, process, 121)
    shop.will("issue", Unknown("?"))
    await sweep(app)
    assert (len(shop.sent), len(shop.asked)) == (2, 1)
    await sweep(app)
    assert (len(shop.sent), len(shop.asked)) == (2, 2)
    await age(app, process, 121)
    await sweep(app)
    assert len(shop.sent) == 3
    assert (await app.get(process.id)).state == "completed"


async def test_past_the_keys_life_nothing_is_sent(place, shop):
    """The downstream may have forgotten the key: the process is only asked about, then held with an alarm."""
    app, process = await standing(place, shop, key_valid="1h")
    await age(app, process, HOUR + 1)
    shop.will("find", Unknown("?"), NotFound())
    await sweep(app)
    assert (await app.get(process.id)).status == "running"
    await sweep(app)
    process = await app.get(process.id)
    assert (process.status, process.note, process.state) == ("held", "key-expired", "issue")
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.process) == ("unconfirmed", raw(process))
    assert len(shop.sent) == 1


async def test_past_the_keys_life_a_found_answer_still_counts(place, shop):
    """What the query knows is as good as ever."""
    app, process = await standing(place, shop, key_valid="1h")
    await age(app, process, 100 * HOUR)
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_without_a_query_the_call_is_sent_again(place, shop):
    """The same key makes that safe."""
    app, process = await standing(place, shop, query=False)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert [sending.key for sending in shop.sent] == [key_of(process)] * 2
    assert shop.asked == []


async def test_without_a_query_and_past_the_keys_life_it_is_held(place, shop):
    """There is nothing left that could be done without a person."""
    app, process = await standing(place, shop, query=False, key_valid="1h")
    await age(app, process, HOUR + 1)
    await sweep(app)
    assert (await app.get(process.id)).status == "held"
    assert [alarm.kind for alarm in await alarms(app)] == ["unconfirmed"]
    assert len(shop.sent) == 1


async def test_a_failure_runs_the_other_step(place, shop):
    """Failed is final: the failed step runs, once."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", Failed("sold-out"))
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (process.state, process.result) == ("refunded", "sold-out")
    assert await changes(app, process.id) == ["deduct", "refund"]


async def test_reports_of_what_is_not_final_change_nothing(place, shop):
    """A push that says "pending" or "unknown" is welcome and moves nothing."""
    app, process = await standing(place, shop)
    for outcome in (Pending(), Pending(5), Unknown("?"), NotFound()):
        assert await app.report(key_of(process), outcome) == "waiting"
    after = await app.get(process.id)
    assert (after.status, after.fence, after.due, after.note) == ("running", process.fence, process.due, process.note)
