"""A payload whose key is lost stops nothing else: neither letters nor messages that wait to be sent."""

from __future__ import annotations

from random import Random

import pytest

from tests.messages.belt import Belt, delivery, letters, make_due, until
from tests.messages.shelf import Shelf, waiting
from tests.messages.shelf import make_due as make_messages_due
from tests.process.cipher import Cipher
from tieout import App, PayloadUnreadable
from tieout.eventloop import LoopCaller, LoopClock
from tieout.letters import consuming
from tieout.letters.rules import TRIES
from tieout.message_documents import message_document
from tieout.messages import Outbox, Relay
from tieout.payloads import Payloads


@pytest.fixture
def codec():
    """A codec whose key a test changes."""
    return Cipher(7)


async def test_a_letter_that_cannot_be_read_holds_up_no_other(database, url, codec, monkeypatch):
    """It is listed and shown without its body, fails on each try, and goes when the key is back."""
    monkeypatch.setattr(consuming, "LETTERS_EVERY", 0.05)
    belt, done, failing = Belt(), [], {b"lost", b"found"}
    app = App(url, channels={"belt": belt}, codec=codec)

    @app.consume("belt/t")
    async def take(tx, message):
        if message.body in failing:
            failing.discard(message.body)
            raise LookupError("not now")
        done.append(message.body)

    belt.put(delivery(1, b"lost"))
    async with app:
        await belt.until_acknowledged(1)
        codec.key = 8
        belt.put(delivery(2, b"found"))
        await belt.until_acknowledged(2)
        number = (await letters(app))[0].id
        told = message_document(await app.letters.show(number))
        assert (told.encoding, told.body, told.whole) == ("unreadable", "", True)

        async def is_dead():
            await make_due(app)
            return [one for one in await letters(app) if one.due is None]

        (dead,) = await until(is_dead)
        assert (dead.id, dead.code, dead.attempts) == (number, PayloadUnreadable.code, TRIES)
        assert done == [b"found"]
        codec.key = 7
        await app.letters.replay(number, actor="ann", reason="the key is back")

        async def none_left():
            return not await letters(app)

        await until(none_left)
    assert done == [b"found", b"lost"]


async def test_a_letter_that_cannot_be_read_can_be_dropped(database, url, codec):
    """Who has not its key can still list it, and forget it."""
    belt = Belt()
    app = App(url, channels={"belt": belt}, codec=codec)

    @app.consume("belt/t")
    async def take(tx, message):
        raise LookupError("not now")

    belt.put(delivery(1, b"lost"))
    async with app:
        await belt.until_acknowledged(1)
    async with App(url, sweep=False) as without:
        (letter,) = await without.letters.list()
        await without.letters.drop(letter.id, actor="ann", reason="nobody has its key any more")
        assert not await without.letters.list()


async def test_a_message_that_cannot_be_read_holds_back_its_key_alone(database, codec):
    """Others are sent; it is, in its order, when the key is back."""
    shelf, payloads = Shelf(), Payloads(codec)
    outbox = Outbox(database.dialect, payloads)
    relay = Relay("shelf", shelf, database, LoopClock(), LoopCaller(), Random(7), "node", payloads=payloads)

    async def write(body, key):
        await database.transact(lambda tx: outbox.add(tx, "shelf/t", body, key=key))

    await write(b"k1", "k")
    codec.key = 8
    for body, key in ((b"k2", "k"), (b"l1", "l"), (b"free", "")):
        await write(body, key)
    assert await relay.round() == "sent"
    assert sorted(shelf.bodies) == [b"free", b"l1"] and await waiting(database) == {"shelf": 2}
    codec.key = 7
    await make_messages_due(database)
    await relay.round()
    codec.key = 8
    await make_messages_due(database)
    await relay.round()
    assert shelf.bodies[2:] == [b"k1", b"k2"]
