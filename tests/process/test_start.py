"""Start: once for each key, with the business writes or not at all."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import POINTS, changes, key_of, points, raw, rest, rows, until
from tests.process.shop import Late, Prize, redeem
from tieout import (
    DefinitionError,
    Failed,
    InvalidParams,
    Next,
    ParamsChanged,
    Refused,
    ReturnedWrongStep,
    Succeeded,
    Unknown,
)

REDEEM = redeem()


def request(**params):
    return REDEEM(**({"request_id": "r1", "user": "ann"} | params))


@pytest.fixture
async def app(place, shop):
    return await place.open(REDEEM, shop=shop)


async def count(app):
    return (await rows(app, "SELECT count(*) FROM tieout_process"))[0][0]


async def test_a_process_runs_to_its_end(app):
    """A request is accepted, its call is made at once, and its result is that of the final."""
    process = await app.start(request(quantity=2), wait=60)
    assert (process.state, process.status, process.result) == ("completed", "final", Prize("A1"))
    assert (process.owner, process.key, process.replayed) == ("ann", "r1", False)
    assert await points(app) == POINTS - 20
    assert await changes(app, process.id) == ["complete", "deduct"]


async def test_start_returns_once_it_is_stored(app, shop):
    """Without `wait` the caller gets the process as soon as it is durable, while the call is still out."""
    answer = Late(Succeeded(Prize("A1")))
    shop.will("issue", answer)
    process = await app.start(request())
    assert (process.state, process.status) == ("issue", "running")
    assert await count(app) == 1
    answer.go.set()
    assert (await app.wait(process.id, 60)).state == "completed"


async def test_a_hundred_duplicates_start_one_process(app, shop):
    """Whatever comes at the same time under one key is one row, one business write, one call."""
    started = await asyncio.gather(*(app.start(request(), wait=60) for _ in range(100)))
    assert len({process.id for process in started}) == 1
    assert [process.replayed for process in started].count(False) == 1
    assert await count(app) == 1
    assert await points(app) == POINTS - 10
    assert await changes(app, started[0].id) == ["complete", "deduct"]
    assert len(shop.sent) == 1


async def test_duplicates_on_two_nodes_start_one_process(place, shop):
    """Nodes know nothing of each other; the database decides."""
    nodes = [await place.open(REDEEM, shop=shop) for _ in range(2)]
    started = await asyncio.gather(*(node.start(request()) for node in nodes for _ in range(20)))
    await asyncio.gather(*map(rest, nodes))
    assert [process.replayed for process in started].count(False) == 1
    assert await points(nodes[0]) == POINTS - 10


async def test_different_keys_are_different_requests(app):
    """Twenty keys at once are twenty processes."""
    started = await asyncio.gather(*(app.start(request(request_id=f"r{n}"), wait=60) for n in range(20)))
    assert len({process.id for process in started}) == 20
    assert await points(app) == POINTS - 200


async def test_changed_params_are_refused(app, shop):
    """The same key with other params raises `ParamsChanged`, which names the fields; nothing is executed."""
    first = await app.start(request(), wait=60)
    before = await app.get(first.id)
    with pytest.raises(ParamsChanged) as refused:
        await app.start(request(sku="cup", quantity=3))
    assert set(refused.value.fields) == {"sku", "quantity"}
    assert refused.value.process_id == first.id
    assert await points(app) == POINTS - 10
    assert len(shop.sent) == 1
    assert await app.get(first.id) == before


async def test_of_concurrent_requests_with_other_params_one_wins(app):
    """Half of the requests under one key want another quantity: one process, and the others are told why not."""
    wanted = [app.start(request(quantity=1 + n % 2)) for n in range(20)]
    got = await asyncio.gather(*wanted, return_exceptions=True)
    assert [isinstance(one, ParamsChanged) for one in got].count(True) == 10
    assert [not isinstance(one, BaseException) for one in got].count(True) == 10
    assert await count(app) == 1


async def test_a_default_that_is_written_out_is_no_change(app):
    """A retry may give by name what the first request left to its default."""
    first = await app.start(request(), wait=60)
    again = await app.start(request(sku="mug", quantity=1))
    assert (again.id, again.replayed) == (first.id, True)


async def test_another_default_is_a_change(app):
    """All params are stored, defaults included: a later value that differs is refused."""
    await app.start(request(), wait=60)
    with pytest.raises(ParamsChanged):
        await app.start(request(quantity=2))


async def test_fields_that_were_never_stored_are_not_compared(app):
    """A row that is older than a field does not contradict a request that has it."""
    first = await app.start(request(), wait=60)
    await rows(app, "UPDATE tieout_process SET params = :params", params='{"request_id":"r1","user":"ann"}')
    again = await app.start(request(quantity=7))
    assert (again.id, again.replayed) == (first.id, True)


async def test_volatile_params_are_not_compared(app):
    """A retry may come through another channel."""
    await app.start(request(channel="web"), wait=60)
    assert (await app.start(request(channel="phone"))).replayed


async def test_volatile_params_are_nowhere_in_the_database(app, shop):
    """What is volatile reaches neither the row nor anything else that is stored."""
    shop.will("issue", Unknown("?"))
    await app.start(request(channel="hush-hush"))
    await rest(app)
    for table in ("tieout_process", "tieout_alarm", "tieout_evidence", "tieout_audit"):
        assert "hush-hush" not in repr(await rows(app, f"SELECT * FROM {table}"))


async def test_volatile_params_are_readable_in_the_start_step_only(app):
    """A step after the start that reads one fails, and does not find the default."""
    process = request(channel="phone")
    assert process.channel == "phone"
    started = await app.start(process, wait=60)
    later = app.engine.world.revive(app.types["redeem"], await app.engine.read(raw(started)))
    with pytest.raises(AttributeError, match="volatile"):
        _ = later.channel


async def test_a_refusal_stores_nothing(app, shop):
    """`Refused` rolls everything back: no process, no business write, no call."""
    shop.will("deduct", Refused("not today"))
    with pytest.raises(Refused, match="not today"):
        await app.start(request())
    assert await count(app) == 0
    assert await points(app) == POINTS
    assert shop.sent == []


async def test_a_refused_request_may_come_again(app, shop):
    """A key is not used up by a refusal."""
    shop.will("deduct", Refused("not today"))
    with pytest.raises(Refused):
        await app.start(request())
    assert (await app.start(request(), wait=60)).state == "completed"


async def test_a_duplicate_that_would_be_refused_gets_the_process(app):
    """The first request took the points, so that its repetition would be refused: it gets what there is."""
    first = await app.start(request(quantity=POINTS // 10), wait=60)
    again = await app.start(request(quantity=POINTS // 10))
    assert (again.id, again.replayed, again.state) == (first.id, True, "completed")
    assert await points(app) == 0


async def test_a_duplicate_whose_look_up_fails_gets_the_process(app, shop):
    """The catalogue is down: the repetition of an accepted request does not need it."""
    first = await app.start(request(), wait=60)
    shop.will("price", OSError("catalogue down"))
    assert (await app.start(request())).id == first.id


async def test_a_duplicate_whose_step_raises_anything_gets_the_process(app, shop):
    """Whatever a repetition's own attempt raises, the process that is there decides what it gets."""
    first = await app.start(request(), wait=60)
    shop.will("deduct", ZeroDivisionError())
    assert (await app.start(request())).id == first.id


async def test_what_a_start_step_raises_is_the_callers(app, shop):
    """An error of user code goes on to the caller, and nothing is stored."""
    shop.will("deduct", ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        await app.start(request())
    assert await count(app) == 0
    assert await points(app) == POINTS


@pytest.mark.parametrize("moved", [None, "issue", Next("completed", {}, Prize("A1")), Next("nowhere")])
async def test_a_start_step_moves_where_it_says(app, shop, moved):
    """A move that `to=` does not name raises `ReturnedWrongStep`, and nothing is stored."""
    shop.will("deduct", moved)
    with pytest.raises(ReturnedWrongStep):
        await app.start(request())
    assert await count(app) == 0
    assert await points(app) == POINTS


async def test_a_start_step_may_end_the_process(app, shop):
    """A start that moves to a final needs no call."""
    shop.will("deduct", request().refunded("closed"))
    process = await app.start(request(), wait=60)
    assert (process.state, process.status, process.result, process.calls) == ("refunded", "final", "closed", [])
    assert shop.sent == []


@pytest.mark.parametrize("args", [{"sku": 5, "quantity": 1}, {"sku": "mug"}, {"sku": "mug", "quantity": 1, "qty": 2}])
async def test_arguments_that_do_not_fit_are_refused(app, shop, args):
    """Wrong, missing and unknown arguments of the first call raise `InvalidParams`, and nothing is stored."""
    shop.will("deduct", Next("issue", args))
    with pytest.raises(InvalidParams):
        await app.start(request())
    assert await count(app) == 0
    assert await points(app) == POINTS


async def test_only_registered_types_are_started(app):
    """A request of a type that this App does not know, or no request at all, is a usage error."""
    for wrong in (redeem(name="another")(request_id="r", user="ann"), "r1", None, REDEEM):
        with pytest.raises(DefinitionError):
            await app.start(wrong)
    assert await count(app) == 0


async def test_look_ups_are_made_before_the_transaction_and_kept(app, shop):
    """A snapshot is looked up once for a process; every later step sees that value, typed, whatever it is now."""
    shop.will("price", 25)
    process = await app.start(request(quantity=2), wait=60)
    assert shop.looked_up == 1
    assert process.snapshots == {"price": 25}
    assert await points(app) == POINTS - 50
    later = app.engine.world.revive(app.types["redeem"], await app.engine.read(raw(process)))
    assert later.price == 25


async def test_a_later_step_uses_the_kept_look_up(app, shop):
    """A refund gives back what was taken, though the price has changed meanwhile."""
    shop.will("price", 25, 99)
    shop.will("issue", Unknown("?"))
    process = await app.start(request())
    await rest(app)
    await app.report(key_of(process), Failed("sold-out"))
    refunds = await rows(app, "SELECT points FROM posting WHERE what = 'refund'")
    assert refunds == [(-25,)]


@pytest.mark.parametrize("value", ["ten", None, float("nan"), {"price": 1}])
async def test_a_look_up_that_does_not_fit_stores_nothing(app, shop, value):
    """A snapshot that is not of its type raises `InvalidParams` before anything is written."""
    shop.will("price", value)
    with pytest.raises(InvalidParams):
        await app.start(request())
    assert await count(app) == 0


async def test_a_look_up_that_fails_stores_nothing(app, shop):
    """A snapshot is whole or absent: an error goes to the caller, and the request may come again."""
    shop.will("price", OSError("catalogue down"))
    with pytest.raises(OSError, match="catalogue"):
        await app.start(request())
    assert await count(app) == 0
    assert (await app.start(request(), wait=60)).state == "completed"


async def test_one_request_object_started_twice_at_a_time(app, shop):
    """Each start keeps its own look-ups, whichever is quicker: what was deducted is what was stored."""
    prices = Late(3), Late(4)
    shop.will("price", *prices)
    same = request()
    starts = [asyncio.create_task(app.start(same)) for _ in prices]
    await until(lambda: shop.looked_up == 2)
    prices[0].go.set()
    first = await starts[0]
    assert (first.replayed, first.snapshots, await points(app)) == (False, {"price": 3}, POINTS - 3)
    prices[1].go.set()
    assert (await starts[1]).replayed
    assert await points(app) == POINTS - 3
