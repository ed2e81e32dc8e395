"""What a message reports, or asks for, happens once, whichever way and however often it comes."""

from __future__ import annotations

import pytest

import tieout
from tests.messages.belt import Belt, delivery, letters, make_due, until
from tieout import Answer, App, Failed, Next, Pending, Sending, Succeeded, Transaction
from tieout.letters import consuming


class Order(tieout.Process, name="order", key="number"):
    """A call whose answer comes by message."""

    number: str
    amount: int = 1
    sent = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="ship")
    async def begin(self, tx: Transaction) -> Next:
        if self.amount < 1:
            raise tieout.Refused("nothing to send")
        return self.ship.next()

    @tieout.call(timeout=5, query_after=3600)
    async def ship(self, send: Sending) -> Answer[str]:
        return Pending(3600)

    @ship.succeeded(to="sent")
    async def shipped(self, tx: Transaction, parcel: str) -> Next:
        return self.sent(parcel)

    @ship.failed(to="refused")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)


@pytest.fixture
def belts():
    return {"reports": Belt(), "starts": Belt()}


@pytest.fixture
def app(database, url, belts, monkeypatch):
    monkeypatch.setattr(consuming, "LETTERS_EVERY", 0.05)
    app = App(url, channels=belts)
    app.register(Order)
    app.consume_reports("reports/t")
    app.consume_starts("starts/t", Order)
    return app


def shipped(process, parcel="P1", **changes):
    return {"call_key": f"{process.id}:1", "outcome": "succeeded", "value": parcel} | changes


async def test_a_report_by_message_ends_the_process_once(app, belts):
    """The first message moves it; the same message again, and another one that says the same, change nothing."""
    async with app:
        process = await app.start(Order(number="1"))
        report = shipped(process)
        belts["reports"].put(delivery(1, report), delivery(1, report), delivery(2, report))
        process = await app.wait(process.id)
        await belts["reports"].until_acknowledged(3)
        assert (process.state, process.result) == ("sent", "P1")
        record = (await app.inspect(process.id)).record
        assert [(move.source, move.by) for move in record.trail] == [("push", "message")]
        assert record.duplicates == 1
        assert await letters(app) == []


async def test_a_report_may_stand_in_a_cloudevent_or_say_that_it_failed(app, belts):
    """The data of an event is read as the report that it is."""
    async with app:
        process = await app.start(Order(number="1"))
        event = {"specversion": "1.0", "id": "e1", "type": "x", "source": "y"}
        report = {"call_key": f"{process.id}:1", "outcome": "failed", "code": "sold-out"}
        belts["reports"].put(delivery(1, {**event, "data": report}))
        process = await app.wait(process.id)
        assert (process.state, process.result) == ("refused", "sold-out")


async def test_two_messages_that_contradict_each_other_are_one_conflict(app, belts):
    """Nothing is overwritten, a person is told once, and both messages are done."""
    async with app:
        process = await app.start(Order(number="1"))
        lost = {"call_key": f"{process.id}:1", "outcome": "failed", "code": "lost"}
        belts["reports"].put(delivery(1, shipped(process)))
        await belts["reports"].until_acknowledged(1)
        belts["reports"].put(delivery(2, lost), delivery(2, lost), delivery(2, lost))
        await belts["reports"].until_acknowledged(4)
        (alarm,) = await app.alarms.list()
        assert (alarm.kind, alarm.count) == ("conflict", 1)
        assert (await app.get(process.id)).state == "sent"


async def test_a_report_of_a_call_that_is_not_there_yet_waits_for_it(app, belts):
    """A message may overtake what it is about: it is kept, and done when its call is there."""
    early = Order(number="late")
    async with app:
        belts["reports"].put(delivery(1, shipped(early)))
        await belts["reports"].until_acknowledged(1)
        (letter,) = await letters(app)
        assert letter.code == "unknown-call" and letter.due is not None
        await app.start(Order(number="late"))

        async def done():
            await make_due(app)
            return not await letters(app)

        await until(done)
        assert (await app.wait(early.id)).state == "sent"


BROKEN = {
    "no json": b"{",
    "not utf-8": b"\xff\xfe",
    "empty": b"",
    "another shape": b"[1]",
    "an unknown outcome": b'{"call_key":"x","outcome":"perhaps"}',
    "a field too many": b'{"call_key":"x","outcome":"failed","extra":1}',
    "a key twice": b'{"call_key":"x","call_key":"y","outcome":"failed"}',
    "too deep": b"[" * 10_000,
    "no call key": b'{"call_key":"x","outcome":"failed"}',
}


async def test_broken_reports_hold_up_nobody(app, belts):
    """Whatever a body holds it is kept with its reason, and the report behind it is done."""
    async with app:
        process = await app.start(Order(number="1"))
        belts["reports"].put(*(delivery(name, body) for name, body in BROKEN.items()))
        belts["reports"].put(delivery("good", shipped(process)))
        assert (await app.wait(process.id)).state == "sent"
        await belts["reports"].until_acknowledged(len(BROKEN) + 1)
        found = {letter.message_id.decode(): letter for letter in await letters(app)}
        assert found.keys() == BROKEN.keys()
        assert all(letter.due is None for name, letter in found.items() if name != "no call key")


async def test_an_answer_that_does_not_fit_is_kept(app, belts):
    """A report whose value is not of the call's type moves nothing, and is dead with its reason."""
    async with app:
        process = await app.start(Order(number="1"))
        belts["reports"].put(delivery(1, shipped(process, 7)))
        await belts["reports"].until_acknowledged(1)
        (letter,) = await letters(app)
        assert (letter.code, letter.due) == ("invalid-params", None)
        assert (await app.get(process.id)).state == "ship"


async def test_a_request_by_message_starts_one_process(app, belts):
    """The same request in several messages gets the one process that there is."""
    async with app:
        belts["starts"].put(*(delivery(n, {"number": "7", "amount": 2}) for n in range(5)))
        await belts["starts"].until_acknowledged(5)
        (process,) = await app.list()
        assert process.id == Order(number="7").id and await letters(app) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": "7", "amount": 3}, "params-changed"),
        ({"number": "8", "amount": 0}, "refused"),
        ({"number": "8", "amount": "many"}, "invalid-params"),
        ({"number": "8", "price": 1}, "invalid-params"),
        ({"amount": 1}, "invalid-params"),
        ({"number": ""}, "invalid-key"),
        ([], "invalid-params"),
    ],
)
async def test_a_request_that_is_refused_is_told(app, belts, fields, code):
    """Nobody waits for the answer to a message: what is refused is dead, with the reason, and starts nothing."""
    async with app:
        await app.start(Order(number="7"))
        belts["starts"].put(delivery(1, fields))
        await belts["starts"].until_acknowledged(1)
        (letter,) = await letters(app)
        assert (letter.code, letter.due) == (code, None)
        assert len(await app.list()) == 1


async def test_formats_of_others_are_read_by_functions_of_the_users(database, url, belts):
    """`read` says what a message means, and a body that it cannot read is dead."""
    app = App(url, channels=belts)
    app.register(Order)

    def parcel(message):
        order, state = message.body.decode().split("=")
        if state not in {"ok", "lost"}:
            raise tieout.InvalidParams(f"{state} is no state of a parcel")
        return f"{Order(number=order).id}:1", Succeeded(state) if state == "ok" else Failed(state)

    app.consume_reports("reports/t", read=parcel)
    app.consume_starts("starts/t", Order, read=lambda message: Order(number=message.headers["order"]))
    async with app:
        belts["starts"].put(delivery(1, b"", headers={"order": "a"}))
        await belts["starts"].until_acknowledged(1)
        belts["reports"].put(delivery(1, b"a=perhaps"), delivery(2, b"a=ok"))
        await belts["reports"].until_acknowledged(2)
        assert (await app.wait(Order(number="a").id)).result == "ok"
        assert [letter.note for letter in await letters(app)] == ["perhaps is no state of a parcel"]
