"""Everything is sent at least once, in order for each key, by one node at a time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.messages.shelf import Shelf, end_leases, make_due, relay, waiting, write
from tieout.messages import Outbox, Relaying
from tieout.messages.relay import BATCH


async def test_what_was_not_reached_is_sent_again(database):
    """While the channel cannot be reached everything waits; then all of it arrives, once."""
    shelf, ids = Shelf(), await write(database, b"1", b"2", b"3", key="k")
    shelf.fails_before = 2
    one = relay(database, shelf)
    assert [await one.round() for _ in range(4)] == ["broken", "broken", "sent", "idle"]
    assert shelf.bodies == [b"1", b"2", b"3"]
    assert [message.id for message in shelf.messages] == ids


async def test_a_lost_confirmation_means_once_more_under_the_same_id(database):
    """What may have arrived is sent again with the id that it had, and what came behind it stays behind it."""
    shelf = Shelf()
    first, second = await write(database, b"1", b"2", key="k")
    shelf.fails_after = 1
    one = relay(database, shelf)
    assert [await one.round() for _ in range(2)] == ["broken", "sent"]
    assert [message.id for message in shelf.messages] == [first, first, second]


async def test_what_was_sent_before_a_failure_is_not_sent_again(database):
    """The parts of a batch that were confirmed stay confirmed when a later part fails."""
    shelf = Shelf()
    await write(database, b"1", b"2", key="k")

    async def fail_next():
        shelf.fails_before, shelf.during = 1, None

    shelf.during = fail_next
    one = relay(database, shelf)
    assert [await one.round() for _ in range(2)] == ["broken", "sent"]
    assert shelf.bodies == [b"1", b"2"]


async def test_a_refused_message_holds_back_its_key_and_nothing_else(database):
    """Others go on; what was written under the key before and after the refusal waits, and arrives in order."""
    shelf = Shelf()
    shelf.refuses[b"k2"] = "no route"
    await write(database, b"k1", b"k2", b"k3", key="k")
    await write(database, b"l1", b"l2", key="l")
    await write(database, b"free")
    one = relay(database, shelf)
    assert await one.round() == "sent"
    assert sorted(shelf.bodies) == [b"free", b"k1", b"l1", b"l2"]
    await write(database, b"k4", key="k")
    await write(database, b"l3", key="l")
    assert [await one.round() for _ in range(2)] == ["sent", "idle"]
    assert shelf.bodies[-1] == b"l3" and await waiting(database) == {"shelf": 3}
    (told,) = await database.read(Outbox(database.dialect).waiting)
    assert told.attempts == 1
    shelf.refuses.clear()
    await make_due(database)
    await one.round()
    await one.round()
    assert [body for body in shelf.bodies if body.startswith(b"k")] == [b"k1", b"k2", b"k3", b"k4"]
    assert await waiting(database) == {}


async def test_a_later_message_never_overtakes_one_that_waits(database):
    """What is written when the refused one is due again stays behind it, also in a batch that is cut short."""
    shelf = Shelf()
    shelf.refuses[b"1"] = "not now"
    await write(database, b"1", b"2", key="k")
    one = relay(database, shelf)
    await one.round()
    await write(database, b"3", key="k")
    shelf.refuses.clear()
    await database.transact(lambda tx: tx.execute("UPDATE tieout_outbox SET due = {now} + 100 WHERE attempts = 1"))
    while await waiting(database):
        assert await one.round() != "broken"
        await make_due(database)
    assert shelf.bodies == [b"1", b"2", b"3"]


async def test_no_later_message_overtakes_one_that_was_held_back(database):
    """One was written while its key's first waited, another after that was due again: they are sent as written."""
    await write(database, b"1", b"2", b"3", key="k")
    dues = {b"1": -20, b"2": -30, b"3": -10}
    moved = "UPDATE tieout_outbox SET due = {now} + :due WHERE body = :body"
    for body, due in dues.items():
        await database.transact(lambda tx, body=body, due=due: tx.execute(moved, due=due, body=body))
    outbox = Outbox(database.dialect)
    for limit in (1, 2, 3):
        batch = await database.read(lambda tx, limit=limit: outbox.due(tx, "shelf", limit))
        assert [message.body for message in batch] == [b"1", b"2", b"3"][: len(batch)] and batch
    assert len(batch) == 3


async def test_one_node_at_a_time_sends_for_a_channel(database):
    """A second node sends nothing until the first gives the channel back."""
    shelf = Shelf()
    old, new = relay(database, shelf, "old"), relay(database, shelf, "new")
    await write(database, b"1")
    assert [await old.round(), await new.round()] == ["sent", "elsewhere"]
    await write(database, b"2")
    await old.release()
    assert await new.round() == "sent"
    assert await old.round() == "elsewhere"
    assert shelf.bodies == [b"1", b"2"]


async def test_a_node_that_lost_its_lease_forgets_nothing(database):
    """What a paused node has sent after another took over is sent again: it may not say what has arrived."""
    shelf = Shelf()
    old, new = relay(database, shelf, "old"), relay(database, shelf, "new")
    (number,) = await write(database, b"1")

    async def take_over():
        shelf.during = None
        await end_leases(database)
        assert await new.leases.take("outbox:shelf")

    shelf.during = take_over
    assert await old.round() == "elsewhere"
    assert await waiting(database) == {"shelf": 1}
    await end_leases(database)
    assert await new.round() == "sent"
    assert [message.id for message in shelf.messages] == [number, number]


async def test_a_channel_that_answers_for_too_few_has_confirmed_none(database):
    """A wrong number of answers is a broken channel: nothing is taken for sent."""
    shelf = Shelf()
    await write(database, b"1", b"2")
    real, shelf.publish = shelf.publish, None

    async def short(messages):
        return (await real(messages))[:-1]

    shelf.publish = short
    assert await relay(database, shelf).round() == "broken"
    assert await waiting(database) == {"shelf": 2}


async def test_other_channels_are_left_alone(database):
    """A relay touches what is addressed to its own channel only."""
    shelf = Shelf()
    await write(database, b"1", to="other/t")
    assert await relay(database, shelf).round() == "idle"
    assert await waiting(database) == {"other": 1}


async def test_nodes_that_die_lose_nothing_and_keep_the_order(database):
    """Three nodes with a failing channel, taking over from each other: all arrives, first copies in order."""
    chance, shelf = Random(11), Shelf()
    nodes = [relay(database, shelf, f"node{n}") for n in range(3)]
    for start in range(0, 120, 4):
        await write(database, *(b"%d" % n for n in range(start, start + 4)), key=f"k{start % 3}")
        shelf.fails_before, shelf.fails_after = chance.choice([(0, 0), (1, 0), (0, 1)])
        if chance.random() < 0.4:
            await end_leases(database)
        await chance.choice(nodes).round()
    shelf.fails_before = shelf.fails_after = 0
    while await waiting(database):
        await end_leases(database)
        await chance.choice(nodes).round()
    for key in ("k0", "k1", "k2"):
        arrived = [int(message.body) for message in shelf.messages if message.key == key]
        first_copies = list(dict.fromkeys(arrived))
        assert first_copies == sorted(first_copies)
    assert {int(body) for body in shelf.bodies} == set(range(120))


async def test_more_than_a_batch_is_sent(database):
    """The loop sends batch after batch until nothing waits, and gives its lease back when it ends."""
    shelf = Shelf()
    await write(database, *(b"%d" % n for n in range(2 * BATCH + 1)))
    relaying = Relaying([relay(database, shelf)])
    await relaying.start()
    assert shelf.is_open
    async with asyncio.timeout(60):
        while await waiting(database):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.02)
    await relaying.close()
    assert not shelf.is_open
    assert len(set(shelf.bodies)) == len(shelf.bodies) == 2 * BATCH + 1
    assert await relay(database, shelf, "next").round() == "idle"


async def test_a_channel_that_cannot_be_opened_stops_the_start(database):
    """When one channel refuses to open, those opened before it are closed, and the error is told."""
    good, bad = Shelf(), Shelf()

    async def refuse():
        raise ConnectionError("no such host")

    bad.open = refuse
    relaying = Relaying([relay(database, good), relay(database, bad)])
    with pytest.raises(ConnectionError, match="no such host"):
        await relaying.start()
    assert not good.is_open and not bad.is_open
