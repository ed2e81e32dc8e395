"""Answers and messages are forgotten after their time, and no earlier."""

from __future__ import annotations

import asyncio

import pytest

import tieout
from tests.once.place import Counter, Place, answers, effects, rows
from tieout import Absent, App
from tieout.database import connect
from tieout.messages import Inbox
from tieout.once.engine import PURGE_BATCH

HOUR = 3_600_000_000


async def age(app: App, table: str, micros: int) -> None:
    """Let so much time pass for all rows of a table."""
    await rows(app, f"UPDATE {table} SET expires = expires - :micros", micros=micros)


async def test_an_answer_is_kept_for_its_time(place: Place, counter: Counter) -> None:
    """Until its time is over an answer is given again; purged after it, its key is free."""
    app = await place.open()
    issue = counter.prizes(app, keep="2h")
    await issue.run("k1", sku="mug")
    await age(app, "tieout_once", 2 * HOUR - 60_000_000)
    assert await app.answers.purge() == 0
    assert (await issue.run("k1", sku="mug")).replayed
    await age(app, "tieout_once", 60_000_000)
    assert await app.answers.purge() == 1
    assert await issue.find("k1") == Absent()
    assert not (await issue.run("k1", sku="pen")).replayed
    assert await effects(app) == 2


async def test_answers_are_kept_for_thirty_days_unless_told_otherwise(place: Place, counter: Counter) -> None:
    """The time runs from the answer, in the server's time; each scope has its own."""
    app = await place.open()
    await counter.prizes(app).run("k1", sku="mug")
    await counter.prizes(app, "issue-gift", keep="1h").run("k1", sku="mug")
    kept = await rows(app, "SELECT scope, expires - created FROM tieout_once ORDER BY scope")
    assert kept == [("issue-gift", HOUR), ("issue-prize", 30 * 24 * HOUR)]


async def test_a_purge_goes_on_until_nothing_is_left(place: Place) -> None:
    """More rows than one batch takes are purged in several transactions; younger ones stay."""
    app = await place.open()
    many = PURGE_BATCH + 5

    async def fill(tx: tieout.Transaction) -> None:
        await tx.execute_many(
            "INSERT INTO tieout_once (id, scope, owner, request_key, fingerprint, answer, created, expires)"
            " VALUES (:id, 's', :id, :id, :id, '1', 0, {now} + :left)",
            [{"id": n.to_bytes(16, "big"), "left": HOUR if n < 3 else -n} for n in range(many)],
        )
        await tx.execute_many(
            "INSERT INTO tieout_inbox (source, message_id, expires) VALUES (:id, :id, {now} + :left)",
            [{"id": n.to_bytes(16, "big"), "left": HOUR if n < 2 else -n} for n in range(many)],
        )

    await app.database.transact(fill)
    await app.keep_house()
    assert await answers(app) == 3
    assert await rows(app, "SELECT count(*) FROM tieout_inbox") == [(2,)]


async def test_a_purge_beside_requests_harms_none(place: Place, counter: Counter) -> None:
    """Requests go on while old answers are purged; none of the young ones is lost."""
    app = await place.open()
    old, issue = counter.prizes(app, "old"), counter.prizes(app)
    await asyncio.gather(*(old.run(f"k{n}", sku="mug") for n in range(30)))
    await age(app, "tieout_once", 31 * 24 * HOUR)
    await asyncio.gather(app.answers.purge(), *(issue.run(f"k{n}", sku="mug") for n in range(30)))
    assert await answers(app) == 30
    assert all([(await issue.run(f"k{n}", sku="mug")).replayed for n in range(30)])


async def test_time_is_the_servers(tmp_path: object, counter: Counter) -> None:
    """What is kept for how long is told by the database's clock, and by no other."""
    now = [1_000_000_000_000_000]
    database = connect(f"sqlite:///{tmp_path}/clock.db", clock=lambda: now[0])
    async with App("sqlite://", database=database, sweep=False) as app:
        await rows(app, "CREATE TABLE prize (owner TEXT, sku TEXT, quantity BIGINT)")
        issue = counter.prizes(app, keep="1h")
        await issue.run("k1", sku="mug")
        now[0] += HOUR
        assert await app.answers.purge() == 0
        now[0] += 1
        assert await app.answers.purge() == 1


async def test_a_message_is_taken_in_once(place: Place) -> None:
    """The first delivery is let in, every other one is not; sources have ids of their own, compared byte by byte."""
    app = await place.open()

    async def delivered(source: str, message: str) -> bool:
        return await app.database.transact(lambda tx: app.inbox.once(tx, source, message))

    ids = ["1", "1 ", "é", "e\u0301", "\0", "x" * 255]
    assert [await delivered("prizes", message) for message in ids] == [True] * len(ids)
    assert [await delivered("prizes", message) for message in ids] == [False] * len(ids)
    assert [await delivered("Prizes", message) for message in ids] == [True] * len(ids)
    for source, message in (("", "1"), ("prizes", ""), ("prizes", "x" * 256), ("\ud800", "1")):
        with pytest.raises(tieout.InvalidKey):
            await delivered(source, message)


async def test_a_message_whose_work_failed_is_the_first_again(place: Place) -> None:
    """Taking in is undone with the work: the redelivery is let in."""
    app = await place.open()

    async def fail(tx: tieout.Transaction) -> None:
        assert await app.inbox.once(tx, "prizes", "1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await app.database.transact(fail)
    assert await app.database.transact(lambda tx: app.inbox.once(tx, "prizes", "1"))


async def test_fifty_deliveries_at_once_are_one(place: Place) -> None:
    """Of many deliveries of one message at the same time, over two Apps, exactly one is let in."""
    apps = [await place.open() for _ in range(2)]

    async def deliver(app: App) -> bool:
        return await app.database.transact(lambda tx: app.inbox.once(tx, "prizes", "1"))

    taken = await asyncio.gather(*(deliver(apps[n % 2]) for n in range(50)))
    assert sum(taken) == 1


async def test_messages_are_forgotten_after_their_time(place: Place) -> None:
    """A message is remembered for as long as the inbox says."""
    app = await place.open()
    inbox = Inbox(app.database.dialect, keep="1h")
    await app.database.transact(lambda tx: inbox.once(tx, "prizes", "1"))
    await age(app, "tieout_inbox", HOUR - 60_000_000)
    assert await app.database.transact(inbox.purge) == 0
    await age(app, "tieout_inbox", 60_000_000)
    assert await app.database.transact(inbox.purge) == 1
    assert await app.database.transact(lambda tx: inbox.once(tx, "prizes", "1"))
