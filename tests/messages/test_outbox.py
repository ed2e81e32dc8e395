"""A message waits exactly when the transaction that wrote it is committed."""

from __future__ import annotations

import pytest

from tests.messages.shelf import Shelf, relay, waiting, write
from tieout import ConfigError, InvalidKey, InvalidParams
from tieout.messages import Outbox
from tieout.messages.rules import BODY_BYTES, LONGEST_PAUSE, pause_after


async def test_what_rolls_back_is_not_sent(database):
    """A message goes with its transaction: rolled back, nobody hears of it."""
    outbox = Outbox(database.dialect)

    async def work(tx):
        await outbox.add(tx, "shelf/t", b"1")
        raise LookupError

    with pytest.raises(LookupError):
        await database.transact(work)
    assert await waiting(database) == {}


async def test_a_message_arrives_as_it_was_written(database):
    """Id, topic, key, headers and body, of every byte there is, come out as they went in."""
    shelf, body = Shelf(), bytes(range(256))
    outbox = Outbox(database.dialect)
    message_id = await database.transact(
        lambda tx: outbox.add(tx, "shelf/a/b.c", body, key="schlüssel", headers={"content-type": "x"})
    )
    assert await relay(database, shelf).round() == "sent"
    (message,) = shelf.messages
    assert message[:5] == (message_id, "a/b.c", "schlüssel", {"content-type": "x"}, body)
    assert message.created > 1_000_000_000_000_000
    assert await waiting(database) == {}


async def test_what_waits_is_counted_by_channel(database):
    """Operators see how many messages wait for each channel, and since when."""
    await write(database, b"1", b"2")
    await write(database, b"3", to="other/t")
    found = await database.read(Outbox(database.dialect).waiting)
    assert [(one.channel, one.messages, one.attempts) for one in found] == [("other", 1, 0), ("shelf", 2, 0)]
    assert found[0].oldest >= found[1].oldest > 0


@pytest.mark.parametrize("to", ["", "shelf", "/t", "shelf/", "shelf/" + 250 * "t", "shelf/t\n"])
async def test_an_address_is_channel_and_topic(database, to):
    """Anything else is refused before it is written."""
    with pytest.raises(ConfigError):
        await write(database, b"1", to=to)
    assert await waiting(database) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"body": b"x" * (BODY_BYTES + 1)},
        {"body": "text"},
        {"headers": {"a": "\n"}},
        {"headers": {"a": 1}},
        {"headers": {str(n): "" for n in range(33)}},
        {"headers": {"a": "x" * 256}},
    ],
    ids=["long", "text", "control", "number", "many", "long header"],
)
async def test_what_no_channel_could_take_is_refused(database, given):
    """A body or header that could not be sent is refused where it is written."""
    outbox = Outbox(database.dialect)
    with pytest.raises(InvalidParams):
        await database.transact(
            lambda tx: outbox.add(tx, "shelf/t", given.get("body", b""), headers=given.get("headers"))
        )


async def test_a_key_has_a_bound(database):
    """A key of more than 255 bytes is refused."""
    with pytest.raises(InvalidKey):
        await write(database, b"1", key="ü" * 128)


async def test_the_longest_body_is_taken(database):
    """A body of exactly the limit arrives."""
    shelf = Shelf()
    await write(database, b"x" * BODY_BYTES)
    await relay(database, shelf).round()
    assert [len(body) for body in shelf.bodies] == [BODY_BYTES]


def test_pauses_grow_to_their_limit():
    """Each refusal doubles the pause, up to five minutes."""
    assert [pause_after(n) // 1_000_000 for n in (0, 1, 2, 8, 9, 10**6)] == [1, 2, 4, 256, 300, 300]
    assert LONGEST_PAUSE == 300_000_000
