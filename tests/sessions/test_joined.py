"""A start that joins a transaction of the user's, on each kind of transaction."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.process.shop import POINTS, Prize
from tests.sessions.kinds import FEW, KINDS
from tieout import AlreadyStarted, KeyRetired, ParamsChanged, Refused, UsageError

on_few = pytest.mark.parametrize("kind", FEW, ids=repr)


class UserError(Exception):
    """Something of the user's own goes wrong."""


@pytest.fixture
def order(door):
    """The user's own writes, and a process among them."""

    async def order(user):
        await user.write("before")
        process = await user.start(door.request(quantity=2))
        await user.write("after")
        return process

    return order


async def test_a_process_commits_with_the_users_writes(door, kind, shop, order):
    """Before the commit nobody sees anything; after it all is there, and the call is made: by itself or by a nudge."""
    process = await door.run(order)
    assert (process.state, process.status, process.replayed) == ("issue", "running", False)
    assert await door.users() == ["after", "before"]
    assert await door.points() == POINTS - 20
    if not kind.hook:
        assert await door.nudge(process.id)
    ended = await door.ended(process.id)
    assert (ended.state, ended.result) == ("completed", Prize("A1"))
    assert not await door.nudge(process.id)
    assert len(shop.sent) == 1


async def test_an_exception_after_the_start_takes_the_process_back(door, shop, order):
    """What the user's transaction undoes was never started: no row, no points, no call, also when nudged."""
    started = []

    async def work(user):
        await user.write("before")
        started.append(await user.start(door.request()))
        raise UserError

    with pytest.raises(UserError):
        await door.run(work)
    assert not await door.nudge(started[0].id)
    await door.rest()
    assert (await door.count(), await door.points(), await door.users(), shop.sent) == (0, POINTS, [], [])


async def test_a_duplicate_rolls_the_users_earlier_writes_back(door, order):
    """The same request again raises `AlreadyStarted` with the process, and the whole transaction is undone."""
    first = await door.run(order)
    with pytest.raises(AlreadyStarted) as refused:
        await door.run(order)
    assert refused.value.process.id == first.id
    assert refused.value.process.replayed
    assert await door.users() == ["after", "before"]
    assert (await door.count(), await door.points()) == (1, POINTS - 20)


async def test_a_duplicate_that_is_caught_leaves_the_transaction_usable(door, order):
    """The start works in a savepoint: who catches `AlreadyStarted` may go on and commit."""
    first = await door.run(order)
    await door.rows("DELETE FROM posting WHERE process = 'user'")

    async def work(user):
        await user.write("earlier")
        with pytest.raises(AlreadyStarted) as refused:
            await user.start(door.request(quantity=2))
        await user.write("later")
        return refused.value.process

    assert (await door.run(work)).id == first.id
    assert await door.users() == ["earlier", "later"]
    assert await door.points() == POINTS - 20


@on_few
async def test_the_same_request_twice_in_one_transaction_is_a_duplicate(door):
    """A transaction sees what it has started itself."""

    async def work(user):
        first = await user.start(door.request())
        with pytest.raises(AlreadyStarted) as refused:
            await user.start(door.request())
        assert refused.value.process.id == first.id

    await door.run(work)
    assert (await door.count(), await door.points()) == (1, POINTS - 10)


@on_few
async def test_several_processes_join_one_transaction(door):
    """Each is started after the commit."""

    async def work(user):
        return [await user.start(door.request(request_id=f"r{n}")) for n in range(3)]

    for process in await door.run(work):
        await door.nudge(process.id)
        assert (await door.ended(process.id)).state == "completed"
    assert await door.points() == POINTS - 30


@on_few
async def test_changed_params_are_refused(door, order):
    """The same key with other params raises `ParamsChanged`, and the transaction stays usable."""
    await door.run(order)

    async def work(user):
        with pytest.raises(ParamsChanged) as refused:
            await user.start(door.request(quantity=3))
        assert refused.value.fields == ("quantity",)
        await user.write("later")

    await door.run(work)
    assert await door.users() == ["after", "before", "later"]


@on_few
async def test_a_retired_key_is_refused(door, order):
    """A tombstone refuses its key in the user's transaction too."""
    process = await door.run(order)
    await door.nudge(process.id)
    await door.ended(process.id)
    await door.rows("UPDATE tieout_process SET created = created - 100000000, changed = changed - 100000000")
    await door.watch.retention.retire(1)

    async def work(user):
        with pytest.raises(KeyRetired):
            await user.start(door.request(quantity=2))

    await door.run(work)


@on_few
async def test_a_refusal_undoes_the_start_alone(door, shop, order):
    """A start step that says no leaves the user's transaction as it was, and the key free."""
    shop.will("deduct", Refused("not today"))

    async def work(user):
        await user.write("before")
        with pytest.raises(Refused):
            await user.start(door.request())
        await user.write("after")

    await door.run(work)
    assert await door.users() == ["after", "before"]
    assert (await door.count(), await door.points()) == (0, POINTS)
    await door.run(order)
    assert (await door.count(), await door.points()) == (1, POINTS - 20)


@on_few
async def test_a_cancelled_start_undoes_itself_alone(door, shop):
    """Who swallows a cancellation that met the start step commits its own writes, and nothing of the step's."""
    shop.will("deduct", asyncio.CancelledError())

    async def work(user):
        await user.write("before")
        with pytest.raises(asyncio.CancelledError):
            await user.start(door.request())
        await user.write("after")

    await door.run(work)
    assert await door.users() == ["after", "before"]
    assert (await door.count(), await door.points()) == (0, POINTS)


@on_few
async def test_a_repetition_whose_step_fails_is_a_duplicate_all_the_same(door, shop, order):
    """Whatever the repeated attempt raised, the process that is there decides."""
    first = await door.run(order)
    shop.will("deduct", Refused("the points are gone"))
    with pytest.raises(AlreadyStarted) as refused:
        await door.run(order)
    assert refused.value.process.id == first.id


async def test_without_a_transaction_it_is_refused(door):
    """A connection in autocommit, or a session in which nothing has begun, is refused by a clear error."""

    async def work(user):
        with pytest.raises(UsageError, match=r"no transaction is open|in autocommit"):
            await user.start(door.request())

    await door.run(work, begun=False)
    assert (await door.count(), await door.points()) == (0, POINTS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if hasattr(kind, "driver")], ids=repr)
async def test_an_engine_in_autocommit_is_refused(door):
    """SQLAlchemy says that a transaction is open, and the driver commits each statement by itself."""

    async def work(user):
        with pytest.raises(UsageError, match="in autocommit"):
            await user.start(door.request())

    await door.run(work, level="autocommit")
    assert await door.count() == 0


async def test_of_two_at_the_same_time_one_wins(door, order):
    """While one transaction has started a key, another waits for its end; then it is a duplicate, or starts itself."""
    inserted = threading.Event()

    async def first(user):
        await order(user)
        inserted.set()
        return "first"

    async def second(user):
        await user.until(inserted)
        return await order(user)

    async def later():
        # Where there is one writer, a transaction that began first would keep the other from beginning.
        await asyncio.to_thread(inserted.wait, 10)
        return await door.run(second)

    won, lost = await asyncio.gather(door.run(first), later(), return_exceptions=True)
    assert won == "first"
    assert isinstance(lost, AlreadyStarted), lost
    assert await door.users() == ["after", "before"]
    assert (await door.count(), await door.points()) == (1, POINTS - 20)


@on_few
async def test_ten_at_the_same_time_start_one_process(door, order):
    """Of many transactions with one key one commits, and all others are told of its process."""
    got = await asyncio.gather(*(door.run(order) for _ in range(10)), return_exceptions=True)
    started = [one for one in got if not isinstance(one, BaseException)]
    assert len(started) == 1, got
    assert {one.process.id for one in got if isinstance(one, AlreadyStarted)} == {started[0].id}
    assert (await door.count(), await door.points()) == (1, POINTS - 20)


async def test_the_sweep_finds_what_nobody_began(door, kind, shop, order):
    """With neither hook nor nudge the process is due like any other."""
    process = await door.run(order)
    if kind.hook:
        await door.ended(process.id)
        return
    await door.rows("UPDATE tieout_process SET due = {now} - 1")
    assert await door.sweep() == 1
    assert len(shop.asked) == 1
