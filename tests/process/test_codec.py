"""A payload codec: what is stored of users' values is what it writes, wherever they are stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tieout
from tests.process.cipher import Blind, Cipher
from tests.process.orders import Order, Parcel, World
from tests.process.place import (
    ANN,
    Place,
    alarms,
    close_at_once,
    eventually,
    evidence,
    key_of,
    points,
    raw,
    rest,
    rows,
    standing,
    sweep,
)
from tests.process.shop import POINTS, Prize, Shop, redeem
from tieout import Answer, App, Failed, Limits, Next, PayloadUnreadable, Sending, Succeeded, Transaction, Unknown
from tieout.errors import UnknownCall
from tieout.process import retention

TABLES = (
    "tieout_process",
    "tieout_child",
    "tieout_recall",
    "tieout_stray",
    "tieout_evidence",
    "tieout_alarm",
    "tieout_outbox",
)
CANARY = "canary"


class Letter(tieout.Process[Shop], name="letter", key="number"):
    """Is sent to an address, or kept when it has no text; others are told."""

    number: str
    text: str

    sent = tieout.Final[str](publish="shelf/letters")

    @tieout.snapshot
    async def address(self) -> str:
        return f"{CANARY}-address"

    @tieout.start(to=("post", "sent"))
    async def write(self, tx: Transaction) -> Next:
        return self.post.next(text=self.text) if self.text else self.sent(f"{CANARY}-kept")

    @tieout.call(timeout=1)
    async def post(self, send: Sending, text: str) -> Answer[str]:
        return Succeeded(await send.recall("stamp", self.stamp) + text)

    async def stamp(self) -> str:
        return f"{CANARY}-stamp"

    @post.succeeded(to="sent")
    async def end(self, tx: Transaction, text: str) -> Next:
        return self.sent(text)

    @post.failed(to="sent")
    async def fail(self, tx: Transaction, why: Failed) -> Next:
        return self.sent(why.code)


async def written(app: App) -> str:
    """All that the tables hold of users' values, as one text."""
    return repr([row for table in TABLES for row in await rows(app, f"SELECT * FROM {table}")])


async def go_wherever_values_are_stored(place: Place, **options: Any) -> None:
    """Have processes store values of every kind, in each table, when they begin, go on and end."""
    shop, world, kind = Shop(), World(), redeem()
    app = await place.open(kind, Letter, shop=shop, **options)
    await rows(app, "DELETE FROM tieout_outbox")
    shop.will("issue", Unknown("no answer"))
    redeemed = await app.start(kind(request_id="r1", user="ann", sku=f"{CANARY}-sku"))
    await rest(app)
    for number in range(2):  # the second contradicts the first
        await app.report(key_of(redeemed), Succeeded(Prize(f"{CANARY}-prize-{number}")))
    with pytest.raises(UnknownCall):
        await app.report(key_of(redeemed, 2), Succeeded(Prize(f"{CANARY}-stray")))
    letter = await app.start(Letter(number="1", text=f"{CANARY}-text"), wait=60)
    assert letter.result == f"{CANARY}-stamp{CANARY}-text"
    await app.start(Letter(number="2", text=""))
    orders = await place.open(Order, Parcel, shop=world, sweep=True, limits=Limits(sweep_every=0.05), **options)
    await orders.start(Order(number=f"{CANARY}-begun", wait="1h"))
    waiting = await orders.start(Order(number=f"{CANARY}-held", wait="1h"))
    await orders.operate.hold(raw(waiting), ANN)
    await orders.cancel(waiting.id, actor="ann", reason=f"{CANARY}-wish")
    parent = await orders.start(Order(number=f"{CANARY}-parent", parcels=4), wait=60)
    assert (parent.state, parent.result) == ("done", "gone=3 refused=1")
    world.scripts["send"].append(asyncio.Event())  # never answered: its parent waits for it
    await orders.start(Order(number=f"{CANARY}-open", parcels=4))
    await eventually(lambda: rows(orders, "SELECT 1 FROM tieout_child WHERE final = 'refused'"))
    await close_at_once(orders)


async def test_nothing_that_is_stored_can_be_read_without_the_codec(place: Place) -> None:
    """Of all the values nothing is found in the tables; without a codec, all of it is."""
    await go_wherever_values_are_stored(place)
    plainly = await written(place.apps[-2])
    await place.prepare()
    await go_wherever_values_are_stored(place, codec=Cipher())
    hidden = await written(place.apps[-2])
    hidden = hidden.replace(f"b'{CANARY}", "")  # the keys of requests are kept as they are: they are looked for
    parts = ("sku", "prize-0", "prize-1", "stray", "address", "text", "stamp", "kept", "begun", "wish", "parent/1")
    values = [f"{CANARY}-{part}" for part in parts] + ["rested", "no third parcel", "send done"]
    assert [value for value in values if value not in plainly] == []
    assert [value for value in (*values, CANARY) if value in hidden] == []


async def test_what_the_codec_wrote_is_read_as_it_was(place: Place) -> None:
    """Params, results, claims in evidence and messages, by every App that has the codec."""
    await go_wherever_values_are_stored(place, codec=Cipher())
    app = await place.open(redeem(), Letter, Order, Parcel, codec=Cipher())
    (redeemed,) = [one for one in await app.list() if one.type == "redeem"]
    assert (redeemed.params["sku"], redeemed.snapshots) == (f"{CANARY}-sku", {"price": 10})
    assert redeemed.calls[0].args == {"sku": f"{CANARY}-sku", "quantity": 1}
    assert [f"{CANARY}-stray" in stray.body for stray in (await app.inspect(redeemed.id)).strays] == [True]
    (alarm,) = [one for one in await alarms(app) if one.kind == "conflict"]
    assert any(f"{CANARY}-prize-1" in str(piece) for piece in await evidence(app, alarm))
    messages = await app.database.read(lambda tx: app.outbox.due(tx, "shelf", 10))
    assert f'"result":"{CANARY}-stamp{CANARY}-text"'.encode() in messages[0].body
    assert all(message.headers.startswith("{") for message in messages)


async def test_an_app_that_is_given_a_codec_goes_on_with_what_was_stored_before(place: Place, shop: Shop) -> None:
    """A process that was begun without one comes to its end, which is stored by it."""
    kind = redeem()
    app, process = await standing(place, shop, kind)
    await app.close()
    app = await place.open(kind, shop=shop, codec=Cipher())
    shop.will("find", Succeeded(Prize("A1")))
    await sweep(app)
    ended = await app.get(process.id)
    assert (ended.state, ended.result) == ("completed", Prize("A1"))
    assert ((await rows(app, "SELECT result FROM tieout_process"))[0][0]).startswith("~")


async def test_a_repetition_is_known_whatever_it_is_stored_as(place: Place, shop: Shop) -> None:
    """The same request again gets the process that there is; with other params it is refused."""
    kind = redeem()
    app = await place.open(kind, shop=shop, codec=Cipher())
    first = await app.start(kind(request_id="r1", user="ann"), wait=60)
    again = await app.start(kind(request_id="r1", user="ann"))
    assert (again.id, again.replayed, await points(app)) == (first.id, True, POINTS - 10)
    with pytest.raises(tieout.ParamsChanged):
        await app.start(kind(request_id="r1", user="ann", sku="hat"))


@pytest.mark.parametrize("codec", [None, Cipher(9), Blind(9)])
async def test_what_cannot_be_read_stops_nothing_else(
    place: Place, shop: Shop, codec: Cipher | None, caplog: Any
) -> None:
    """An App without the codec, or without the key, says so of such a process, and goes on with all others."""
    kind = redeem(name="redeem")
    app = await place.open(kind, shop=shop, codec=Cipher())
    shop.will("issue", Unknown("no answer"))
    hidden = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    await app.close()
    app = await place.open(kind, shop=shop, codec=codec)
    shop.will("issue", Unknown("no answer"))
    shop.will("find", Succeeded(Prize("A1")), Succeeded(Prize("A1")))
    other = await app.start(kind(request_id="r2", user="ann"))
    await sweep(app)
    assert (await app.get(other.id)).state == "completed"
    with pytest.raises(PayloadUnreadable):
        await app.get(hidden.id)
    with pytest.raises(PayloadUnreadable):
        await app.start(kind(request_id="r1", user="ann"))
    shown, whole = sorted(await app.list(), key=lambda view: view.key)
    assert (shown.id, shown.state, shown.params, shown.calls) == (hidden.id, "issue", {}, [])
    assert (shown.unreadable, whole.unreadable, whole.params["request_id"]) == (
        ("params", "snapshots", "calls"),
        (),
        "r2",
    )
    assert f"process {hidden.id} cannot be read" in caplog.text
    await app.close()
    app = await place.open(kind, shop=shop, codec=Cipher())
    await sweep(app)
    assert (await app.get(hidden.id)).state == "completed"


@pytest.mark.parametrize("batch", [1, 200])
async def test_what_cannot_be_read_keeps_nothing_else_from_its_retirement(
    place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Final processes behind one that this App cannot read shrink to tombstones; it is left as it is."""
    monkeypatch.setattr(retention, "BATCH", batch)
    kind, ids = redeem(), []
    for codec, request in ((Cipher(), "r1"), (None, "r2"), (None, "r3")):
        app = await place.open(kind, shop=shop, codec=codec)
        ids.append((await app.start(kind(request_id=request, user="ann"), wait=60)).id)
        await app.close()
    app = await place.open(kind, shop=shop)
    assert await app.retention.retire(-1) == 2
    assert {view.id: view.status for view in await app.list()} == dict(
        zip(ids, ["final", "retired", "retired"], strict=True)
    )
