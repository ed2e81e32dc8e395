"""The sweep: exclusive, fair, patient, and alone enough to finish every process."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.process.place import (
    Hurried,
    age,
    alarms,
    close_at_once,
    eventually,
    key_of,
    rest,
    rows,
    standing,
    sweep,
    until,
)
from tests.process.shop import Late, Lost, Prize, Shop, redeem
from tieout import Limits, NotFound, Succeeded, Unknown
from tieout.coordination.breaker import THRESHOLD
from tieout.process.claiming import CLAIM_LEASE, FULL_SCAN_EVERY

A = Succeeded(Prize("A1"))
HOUR = 3_600


async def accept(app, kind, count, user="ann"):
    """Start processes and make no call: their starter is gone."""
    app.worker.draining = True
    started = [app.start(kind(request_id=f"r{n}", user=user)) for n in range(count)]
    processes = await asyncio.gather(*started)
    app.worker.draining = False
    return processes


async def statuses(app):
    return dict(await rows(app, "SELECT status, count(*) FROM tieout_process GROUP BY status"))


async def all_due(app):
    await rows(app, "UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running'")


async def test_the_sweep_alone_finishes_every_process(place, shop):
    """No worker made the calls, no query was scheduled, no push comes: every process ends all the same."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    await accept(app, kind, 20)
    await age_all(app, HOUR)
    shop.find = None
    await sweep_with(app, shop, A)
    assert await statuses(app) == {"final": 20}


async def age_all(app, seconds):
    await rows(
        app,
        "UPDATE tieout_process SET created = created - :by, due = due - :by WHERE due IS NOT NULL",
        by=seconds * 10**6,
    )


async def sweep_with(app, shop, answer):
    """Sweep while the query answers this."""

    async def find(send):
        shop.asked.append(send)
        return answer

    shop.find = find
    return await sweep(app)


async def test_whoever_takes_over_asks_before_it_sends(place, shop):
    """A call that may have been sent is queried first."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    (process,) = await accept(app, kind, 1)
    await age(app, process, HOUR)
    await sweep(app)
    assert [len(shop.asked), len(shop.sent)] == [1, 1]
    assert shop.asked[0].key == shop.sent[0].key == key_of(process)


async def test_a_process_that_is_not_due_is_left_alone(place, shop):
    """Whoever opened the call has the process to itself until it is due."""
    app, _ = await standing(place, shop)
    assert await app.worker.sweep() == 0


async def test_a_claim_gives_a_lease_and_a_fence(place, shop):
    """A claimed process is due only after the lease; its fence tells an earlier holder that it has lost it."""
    app, process = await standing(place, shop)
    await all_due(app)
    (claimed,) = await app.engine.claiming.claim(10, lambda _: 10)
    ((due, fence, attempts),) = await rows(app, "SELECT due - {now}, fence, attempts FROM tieout_process")
    assert abs(due - CLAIM_LEASE) < 10_000_000
    assert (fence, attempts) == (process.fence + 1, 1) == (claimed.fence, claimed.attempts)


async def test_no_two_nodes_claim_one_process(place, shop):
    """Three nodes sweep at the same time, again and again: each process is claimed by one of them."""
    kind = redeem()
    nodes = [await place.open(kind, shop=shop) for _ in range(3)]
    await accept(nodes[0], kind, 60)
    await all_due(nodes[0])
    claims = await asyncio.gather(*(node.engine.claiming.claim(10, lambda _: 10) for node in nodes * 8))
    claimed = Counter(record.id for batch in claims for record in batch)
    assert len(claimed) == 60
    assert set(claimed.values()) == {1}
    assert all(len(batch) <= 10 for batch in claims)


async def test_two_nodes_never_work_on_one_process_at_a_time(place, shop):
    """While one node asks, another node's sweep finds nothing to do."""
    app, _ = await standing(place, shop)
    other = await place.open(app.types["redeem"].cls, shop=shop)
    answer = Late(NotFound())
    shop.will("find", answer)
    await all_due(app)
    assert await app.worker.sweep() == 1
    await until(lambda: shop.asked)
    assert await other.worker.sweep() == 0
    answer.go.set()
    await rest(app)
    assert len(shop.asked) == 1


async def test_after_a_crash_another_node_goes_on(place, shop):
    """The worker dies in the call; once the lease is over another one finds the process and ends it."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", Lost())
    process = await app.start(kind(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    await close_at_once(app)
    other = await place.open(kind, shop=shop)
    shop.will("find", A)
    await sweep(other)
    assert (await other.get(process.id)).state == "completed"


async def test_after_a_crash_in_recovery_another_node_goes_on(place, shop):
    """The worker that took over dies too: recovery is as repeatable as the rest."""
    app, process = await standing(place, shop)
    for _ in range(3):
        shop.will("find", Lost())
        await all_due(app)
        await app.worker.sweep()
        asked = len(shop.asked)
        await until(lambda asked=asked: len(shop.asked) >= asked)
        await close_at_once(app)
        app = await place.open(app.types["redeem"].cls, shop=shop)
    await age(app, process, HOUR)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert {sending.key for sending in (*shop.sent, *shop.asked)} == {key_of(process)}


async def test_a_worker_that_has_lost_its_claim_sends_nothing(place, shop):
    """It was paused for longer than its lease: the fence stops its send, and its answer still enters the gate."""
    app, process = await standing(place, shop)
    await all_due(app)
    (stale,) = await app.engine.claiming.claim(1, lambda _: 1)
    await all_due(app)
    (fresh,) = await app.engine.claiming.claim(1, lambda _: 1)
    entry, call = stale.calls[0], app.types["redeem"].calls["issue"]
    assert await app.engine.calls.mark_sent(stale, entry, call) is None
    shop.will("find", A)
    await app.engine.driving.take_over(stale)
    assert (await app.get(process.id)).state == "completed"
    assert fresh.fence == stale.fence + 1
    assert len(shop.sent) == 1


async def test_lanes_share_a_claim(place, shop):
    """A lane with a long queue does not crowd out one with a short queue."""
    crowd, few = redeem(name="crowd"), redeem(name="few")
    app = await place.open(crowd, few, shop=shop)
    await accept(app, crowd, 40)
    await accept(app, few, 3)
    await all_due(app)
    claimed = await app.engine.claiming.claim(10, lambda _: 10)
    assert Counter(record.type for record in claimed) == {"crowd": 5, "few": 3}


async def test_calls_of_one_downstream_share_a_lane(place, shop):
    """`lane=` names the downstream: types that call the same one have one share together."""
    kinds = [redeem(name=f"kind{n}", lane="prizes") for n in range(3)]
    app = await place.open(*kinds, shop=shop)
    for kind in kinds:
        await accept(app, kind, 10)
    await all_due(app)
    assert app.engine.claiming.lanes() == ["prizes"]
    assert len(await app.engine.claiming.claim(12, lambda _: 12)) == 12


class Deaf(Shop):
    """A downstream for whom some lanes never answer."""

    async def find(self, send):
        self.asked.append(send)
        if send.key[:32] in self.dead:
            await asyncio.Event().wait()
        return A


async def test_dead_lanes_do_not_starve_a_living_one(place):
    """Two downstreams hang and have long queues; what waits for the third is worked on all the same."""
    shop = Deaf()
    kinds = [redeem(name=name, timeout=60) for name in ("dead", "deaf", "live")]
    app = await place.open(*kinds, shop=shop, limits=Limits(in_flight=12, batch=12))
    shop.dead = {process.id for kind in kinds[:2] for process in await accept(app, kind, 30)}
    for _ in range(6):
        await all_due(app)
        await app.worker.sweep()
        await asyncio.sleep(0.01)
    busy = app.worker.in_flight
    assert busy < 12
    await accept(app, kinds[2], 9)
    for _ in range(30):
        await rows(app, "UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running' AND type = 'live'")
        await app.worker.sweep()
        await until(lambda: app.worker.in_flight <= busy)
    assert await rows(app, "SELECT count(*) FROM tieout_process WHERE type = 'live' AND status = 'final'") == [(9,)]


async def test_a_dead_lane_does_not_take_the_places_of_what_starts(place):
    """New requests to a living downstream are driven at once, while another one hangs."""
    shop = Deaf()
    dead, live = redeem(name="dead", timeout=60), redeem(name="live")
    app = await place.open(dead, live, shop=shop, limits=Limits(in_flight=8, batch=8))
    shop.dead = {process.id for process in await accept(app, dead, 30)}
    for _ in range(4):
        await all_due(app)
        await app.worker.sweep()
        await asyncio.sleep(0.01)
    process = await app.start(live(request_id="r1", user="ann"), wait=60)
    assert process.state == "completed"


async def test_a_lane_whose_breaker_is_open_is_skipped(place, shop):
    """A downstream that has not answered for long is not asked; its processes keep their due times."""
    kind, other = redeem(), redeem(name="other")
    app = await place.open(kind, other, shop=shop)
    clock = app.engine.world.clock
    for _ in range(THRESHOLD):
        app.engine.world.breakers.record("redeem.issue", clock.monotonic(), answered=False)
    await accept(app, kind, 5)
    await accept(app, other, 5)
    await all_due(app)
    claimed = await app.engine.claiming.claim(100, lambda _: 100)
    assert Counter(record.type for record in claimed) == {"other": 5}


class Ahead(Hurried):
    """A clock that a test can move on."""

    def __init__(self):
        self.ahead = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead


async def test_what_appears_below_the_low_water_mark_is_found_within_a_minute(place, shop):
    """A claim looks only behind where an empty one has looked; once a minute one looks at everything."""
    clock = Ahead()
    kind = redeem()
    app = await place.open(kind, shop=shop, clock=clock)
    await accept(app, kind, 2)
    await all_due(app)
    assert len(await app.engine.claiming.claim(10, lambda _: 10)) == 2
    await rows(app, "UPDATE tieout_process SET due = {now} - 30000000")
    assert await app.engine.claiming.claim(10, lambda _: 10) == []
    clock.ahead = FULL_SCAN_EVERY + 1
    assert len(await app.engine.claiming.claim(10, lambda _: 10)) == 2


async def test_a_worker_that_has_found_nothing_knows_where_to_look(place, shop):
    """Its claims too begin at a low-water mark: index entries of what others have claimed may lie below it."""
    clock = Ahead()
    kind = redeem()
    app = await place.open(kind, shop=shop, clock=clock)
    assert await app.engine.claiming.claim(10, lambda _: 10) == []
    await accept(app, kind, 2)
    await rows(app, "UPDATE tieout_process SET due = {now} - 30000000")
    assert await app.engine.claiming.claim(10, lambda _: 10) == []
    clock.ahead = FULL_SCAN_EVERY + 1
    assert len(await app.engine.claiming.claim(10, lambda _: 10)) == 2


async def test_what_starts_while_its_breaker_is_open_is_left_to_the_sweep(place, shop):
    """The request is accepted, and nothing is sent to a downstream that is down."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    for _ in range(THRESHOLD):
        app.engine.world.breakers.record("redeem.issue", app.engine.world.clock.monotonic(), answered=False)
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    assert shop.sent == []


async def test_a_downstream_that_is_down_opens_its_breaker(place, shop):
    """Failures of calls and queries count for the lane; answers of any kind close it again."""
    app, _ = await standing(place, shop)
    world = app.engine.world
    for _ in range(THRESHOLD):
        shop.will("find", OSError("down"))
        await sweep(app)
    assert world.breakers.is_open("redeem.issue", world.clock.monotonic())
    assert await sweep(app) == 0


async def test_a_repeated_request_brings_its_process_forward(place, shop):
    """The sweep had put it off for long; the client asks again, and it is looked at now."""
    app, process = await standing(place, shop)
    await sweep(app)
    await rows(app, "UPDATE tieout_process SET due = {now} + 300000000")
    again = await app.start(app.types["redeem"].cls(request_id="r1", user="ann"))
    assert again.replayed
    ((wait,),) = await rows(app, "SELECT due - {now} FROM tieout_process")
    assert wait <= 0
    assert process.id == again.id


async def test_a_repeated_request_does_not_disturb_the_first_try(place, shop):
    """While whoever started it is still at its call, a repetition does not make a sweep take it over."""
    app, process = await standing(place, shop)
    await app.start(app.types["redeem"].cls(request_id="r1", user="ann"))
    assert (await app.get(process.id)).due == process.due


async def test_a_deadline_raises_one_alarm_and_the_trying_goes_on(place, shop):
    """Past its deadline a person is told, once; the process is not given up."""
    kind = redeem(deadline="1h")
    app, process = await standing(place, shop, kind)
    await sweep(app)
    assert await alarms(app) == []
    await age(app, process, HOUR + 1)
    shop.will("find", Unknown("?"), Unknown("?"), A)
    await sweep(app)
    await sweep(app)
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.object, alarm.state) == ("deadline", process.id, "open")
    assert (await app.get(process.id)).status == "running"
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert len(await alarms(app)) == 1


async def test_an_app_sweeps_by_itself(place, shop):
    """`async with app:` is all that a service needs: what is due is found within a moment."""
    app, process = await standing(place, shop)
    await age(app, process, HOUR)
    await place.open(app.types["redeem"].cls, shop=shop, sweep=True, limits=Limits(sweep_every=0.02))

    async def ended():
        return (await app.get(process.id)).is_final

    await eventually(ended)


async def test_an_app_without_sweep_leaves_it_to_others(place, shop):
    """`sweep=False`: what others left is not touched."""
    app, process = await standing(place, shop)
    await place.open(app.types["redeem"].cls, shop=shop, limits=Limits(sweep_every=0.01))
    await age(app, process, HOUR)
    await asyncio.sleep(0.1)
    assert shop.asked == []
