"""Plays of the order: the real engine and SQL, in virtual time; the other companies are scripted."""

from __future__ import annotations

import pytest
from order import SCHEMA, Fulfilled, Order

import tieout
from tieout import Failed, NotFound, Succeeded
from tieout.testing import Always, Lost, Slow

ORDER = Order(number="17", sku="mug", amount=900, address="Elm Street 1")


@pytest.fixture
async def run(tieout_play):
    """A play with one mug in stock."""
    made = tieout_play(Order, schema=SCHEMA)
    await made.execute("INSERT INTO stock VALUES ('mug', 1)")
    return made


async def pieces(run):
    """What is left of the only mug."""
    [stock] = await run.fetch("SELECT pieces FROM stock")
    return stock["pieces"]


async def test_paid_and_shipped(run):
    """Both are done at a time: an answer that was lost is asked for."""
    run.script("pay", Lost(), Succeeded("receipt"))
    run.script("ship", Succeeded("parcel"))
    process = await run.start(ORDER)
    assert (process.state, process.result) == ("fulfilled", Fulfilled("receipt", "parcel"))
    assert await pieces(run) == 0


async def test_sold_out(run):
    """What the start step refuses leaves nothing behind."""
    await run.execute("UPDATE stock SET pieces = 0")
    with pytest.raises(tieout.Refused, match="sold out"):
        await run.start(ORDER)


@pytest.mark.parametrize(
    ("pay", "ship", "undone"),
    [
        (Succeeded("receipt"), Failed("unknown_address"), {"refund": {"receipt": "receipt"}}),
        (Failed("no_money"), Succeeded("parcel"), {"turn_back": {"parcel": "parcel"}}),
        (Failed("no_money"), Failed("unknown_address"), {}),
    ],
)
async def test_what_succeeded_is_undone(run, pay, ship, undone):
    """When one fails, the other is awaited, and taken back if it had been done."""
    run.script("pay", pay)
    run.script("ship", Slow(1.5, ship))
    for step in undone:
        run.script(step, Succeeded("ok"))
    process = await run.start(ORDER)
    assert process.state == "undone"
    assert {one.step: one.args for one in run.sent() if one.step in ("refund", "turn_back")} == undone
    assert await pieces(run) == 1


async def test_cancelled_while_it_is_under_way(run):
    """What is on its way is awaited first; then both are taken back."""
    run.script("pay", Lost(), NotFound(), Always(Succeeded("receipt")))
    run.script("ship", Succeeded("parcel"))
    run.script("refund", Succeeded("ok"))
    run.script("turn_back", Succeeded("ok"))
    process = await run.start(ORDER, until="accepted")
    await run.do(lambda app: app.cancel(process.id, actor="ann", reason="changed her mind"))
    await run.rest()
    process = await run.get(process.id)
    assert (process.state, process.result) == ("undone", "taken back")
    assert await pieces(run) == 1


async def test_what_cannot_be_taken_back(run):
    """A refund that is refused is for a person."""
    run.script("pay", Succeeded("receipt"))
    run.script("ship", Failed("unknown_address"))
    run.script("refund", Failed("account_closed"))
    process = await run.start(ORDER)
    assert (process.state, process.result) == ("stuck", "account_closed")


async def test_cancelled_while_it_is_undone(run):
    """Too late to change anything: the piece is put back once, and a refused refund still stands out."""
    run.script("pay", Succeeded("receipt"))
    run.script("ship", Failed("unknown_address"))
    run.script("refund", Slow(1, Failed("account_closed")))
    process = await run.start(ORDER, until="accepted")
    await run.advance(0.5)
    await run.do(lambda app: app.cancel(process.id, actor="ann", reason="changed her mind"))
    await run.rest()
    assert ((await run.get(process.id)).state, await pieces(run)) == ("stuck", 1)


async def test_killed_anywhere(run):
    """Wherever a worker is killed, there is one payment, one refund and one piece put back."""

    async def story(run):
        run.script("pay", Always(Succeeded("receipt")))
        run.script("ship", Always(Failed("unknown_address")))
        run.script("refund", Always(Succeeded("ok")))
        await run.start(ORDER)

    await run.crash_everywhere(story)
