"""What a person may do with a process: each act audited with its reason, in the transaction of its effect."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.process.place import ANN, age, alarms, changes, key_of, raw, rest, rows, standing, sweep
from tests.process.shop import Lost, Prize, redeem
from tieout import Failed, NotAllowed, NotFound, Succeeded, Unknown, UnknownProcess
from tieout.process.operating import Act

A = Succeeded(Prize("A1"))


async def audit(app, process):
    """What was done to a process: (action, actor, reason)."""

    async def work(tx):
        return await app.operate.audit.of(tx, process.id)

    return [(row.action, row.actor, row.reason) for row in await app.database.read(work)]


async def test_hold_stops_a_process(place, shop):
    """A held process is not due, waits in no lane, and nothing is sent or asked."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    process = await app.get(process.id)
    assert (process.status, process.note, process.due, process.lane) == (
        "held",
        "operator: as agreed by telephone",
        None,
        None,
    )
    await sweep(app)
    assert (len(shop.sent), shop.asked) == (1, [])
    assert await audit(app, process) == [("hold", "ann", "as agreed by telephone")]


async def test_resume_lets_it_go_on(place, shop):
    """It is due now, and the next sweep takes it up where it stood."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    await app.operate.resume(raw(process), ANN)
    process = await app.get(process.id)
    assert (process.status, process.note, process.lane) == ("running", None, "redeem.issue")
    shop.will("find", A)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert [action for action, *_ in await audit(app, process)] == ["hold", "resume"]


async def test_retry_makes_it_due(place, shop):
    """What waits for its back-off is looked at now."""
    app, process = await standing(place, shop)
    await app.operate.retry(raw(process), ANN)
    ((wait,),) = await rows(app, "SELECT due - {now} FROM tieout_process")
    assert wait <= 0
    assert [action for action, *_ in await audit(app, process)] == ["retry"]


async def test_query_asks_now(place, shop):
    """The downstream is asked at once, whatever is due when, and its answer counts: source "operator"."""
    app, process = await standing(place, shop)
    shop.will("find", A)
    await app.operate.query(raw(process), ANN)
    process = await app.get(process.id)
    assert (process.state, process.trail[0].source, process.trail[0].by) == ("completed", "operator", "query")
    assert [action for action, *_ in await audit(app, process)] == ["query"]


@pytest.mark.parametrize("answer", [NotFound(), Unknown("?"), Lost(), OSError("down")], ids=repr)
async def test_a_query_without_a_final_answer_changes_nothing(place, shop, answer):
    """It is shown to the operator, and the process goes on as it would have."""
    app, process = await standing(place, shop)
    shop.will("find", answer)
    await app.operate.query(raw(process), ANN)
    after = await app.get(process.id)
    assert (after.status, after.fence, after.due) == ("running", process.fence, process.due)


async def test_query_of_a_held_process_keeps_the_answer(place, shop):
    """Asking is allowed while it is held; nothing runs until it resumes."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    shop.will("find", A)
    await app.operate.query(raw(process), ANN)
    assert (await app.get(process.id)).calls[0].final.kind == "succeeded"
    assert await changes(app, process.id) == ["deduct"]


async def test_query_of_a_final_process_finds_a_change_of_mind(place, shop):
    """The downstream now says otherwise: a conflict, and the final stays."""
    app, process = await standing(place, shop)
    await app.report(key_of(process), A)
    shop.will("find", Failed("withdrawn"))
    await app.operate.query(raw(process), ANN)
    assert [alarm.kind for alarm in await alarms(app)] == ["conflict"]
    assert (await app.get(process.id)).state == "completed"


async def test_without_a_query_there_is_nothing_to_ask(place, shop):
    """The command says so."""
    app, process = await standing(place, shop, query=False)
    with pytest.raises(NotAllowed, match="nothing to query"):
        await app.operate.query(raw(process), ANN)


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("running", ["resume", "settle"]),
        ("held", ["hold", "retry"]),
        ("final", ["hold", "retry", "resume"]),
        ("retired", ["hold", "retry", "resume", "settle"]),
    ],
)
async def test_commands_fit_the_status(place, shop, status, refused):
    """What does not apply raises `NotAllowed`, changes nothing and is not in the audit as if it had."""
    app, process = await standing(place, shop)
    if status == "held":
        await app.operate.hold(raw(process), ANN)
    elif status != "running":
        await app.report(key_of(process), A)
    if status == "retired":
        await app.retention.retire(-1)
    before, told = await app.get(process.id), await audit(app, process)
    for command in refused:
        given = (1, "failed", ANN) if command == "settle" else (ANN,)
        with pytest.raises(NotAllowed):
            await getattr(app.operate, command)(raw(process), *given)
    assert await app.get(process.id) == before
    assert await audit(app, process) == told


@pytest.mark.parametrize("command", ["hold", "resume", "retry", "query"])
async def test_a_process_has_to_exist(place, shop, command):
    """A command for an id that nobody has raises `UnknownProcess`, and nothing is written."""
    app = await place.open(redeem(), shop=shop)
    with pytest.raises(UnknownProcess):
        await getattr(app.operate, command)(b"x" * 16, ANN)
    assert await rows(app, "SELECT count(*) FROM tieout_audit") == [(0,)]


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("  ", "why"), ("ann", ""), ("ann", " \n")])
def test_every_act_has_an_actor_and_a_reason(actor, reason):
    """Without both there is no act."""
    with pytest.raises(NotAllowed, match="who you are"):
        Act(actor, reason)


async def test_the_audit_is_written_with_the_effect_or_not_at_all(place, shop, monkeypatch):
    """When the audit cannot be written, nothing is done."""
    app, process = await standing(place, shop)

    async def broken(*args, **kwargs):
        raise RuntimeError("no audit")

    monkeypatch.setattr(app.operate.audit, "add", broken)
    with pytest.raises(RuntimeError):
        await app.operate.hold(raw(process), ANN)
    assert await app.get(process.id) == process


async def test_the_audit_tells_what_was_found(place, shop):
    """Each row holds the state and status that the act led to."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    ((detail, at, target),) = await rows(app, "SELECT detail, at, object FROM tieout_audit")
    assert msgspec.json.decode(detail) == {"state": "issue", "status": "held"}
    assert (target, at > 0) == (process.id, True)


async def test_a_command_wins_over_a_worker_in_its_call(place, shop):
    """Held while a worker is asking: the worker's fence is old, and what it would do next is not done."""
    app, process = await standing(place, shop)
    await age(app, process, 3_600)

    async def held_meanwhile(send):
        shop.asked.append(send)
        await app.operate.hold(raw(process), ANN)
        return NotFound()

    shop.find = held_meanwhile
    await sweep(app)
    assert len(shop.sent) == 1
    assert (await app.get(process.id)).status == "held"


async def test_commands_repeat_when_they_lost_a_race(place, shop):
    """Twenty commands at the same time: each finds the row as it then is, and of ten holds one has held."""
    app, process = await standing(place, shop)
    holds = [app.operate.hold(raw(process), ANN) for _ in range(10)]
    retries = [app.operate.retry(raw(process), ANN) for _ in range(10)]
    got = await asyncio.gather(*holds, *retries, return_exceptions=True)
    assert all(not isinstance(one, Exception) or isinstance(one, NotAllowed) for one in got)
    assert sum(not isinstance(one, Exception) for one in got[: len(holds)]) == 1
    assert (await app.get(process.id)).status == "held"
    await rest(app)


@pytest.fixture(params=["postgres", "mariadb"])
def served_place(request):
    """A database on which two transactions can be open at the same time."""
    return request.getfixturevalue(f"{request.param}_place")


async def test_of_two_commands_on_one_reading_one_is_done(served_place, shop):
    """Both have read the row before either writes: the fence lets one through, and the other looks again."""
    app, process = await standing(served_place, shop)
    read, readers, both = app.operate._read, [], asyncio.Event()  # noqa: SLF001 - where both have to have been

    async def read_together(tx, process):
        record = await read(tx, process)
        readers.append(record)
        if len(readers) == 2:
            both.set()
        await both.wait()
        return record

    app.operate._read = read_together  # noqa: SLF001 - where both have to have been
    holds = [app.operate.hold(raw(process), ANN) for _ in range(2)]
    got = await asyncio.gather(*holds, return_exceptions=True)
    assert sorted(isinstance(one, NotAllowed) for one in got) == [False, True]
    assert [action for action, _, _ in await audit(app, process)] == ["hold"]
