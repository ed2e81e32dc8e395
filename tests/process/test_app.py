"""The App: opened, closed, opened again; what waiting, reading and listing give."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.process.place import ANN, close_at_once, eventually, key_of, raw, rest, rows, standing, until
from tests.process.shop import Late, Lost, Prize, redeem
from tieout import (
    App,
    AppClosed,
    AppForked,
    ConfigError,
    Filter,
    Limits,
    SchemaMismatch,
    Succeeded,
    Unknown,
    UnknownProcess,
    UsageError,
)

A = Succeeded(Prize("A1"))
REDEEM = redeem()


async def test_an_app_that_is_not_open_says_so(tmp_path):
    """Before it is opened, and after it is closed, every use raises `AppClosed`."""
    app = App(f"sqlite:///{tmp_path}/a.db")
    app.register(REDEEM)
    request = REDEEM(request_id="r1", user="ann")
    for _ in range(2):
        for use in (app.start(request), app.report("0" * 32 + ":1", A), app.get("0" * 32), app.list()):
            with pytest.raises(AppClosed):
                await use
        async with app:
            pass


async def test_an_app_may_be_opened_again(place, shop):
    """What it did before it was closed is there, and it works as before."""
    app = await place.open(REDEEM, shop=shop)
    first = await app.start(REDEEM(request_id="r1", user="ann"), wait=60)
    await app.close()
    async with app:
        assert (await app.get(first.id)).state == "completed"
        assert (await app.start(REDEEM(request_id="r2", user="ann"), wait=60)).state == "completed"


async def test_closing_twice_does_nothing_more(place):
    """A service may close in its own order."""
    app = await place.open(REDEEM)
    await app.close()
    await app.close()


async def test_an_app_does_not_outlive_a_fork(place, shop, monkeypatch):
    """Its connections belong to the parent: in a child it refuses to be used."""
    app = await place.open(REDEEM, shop=shop)
    with monkeypatch.context() as forked:
        forked.setattr("os.getpid", lambda: -1)
        with pytest.raises(AppForked):
            await app.start(REDEEM(request_id="r1", user="ann"))
        with pytest.raises(AppForked):
            _ = app.worker


async def test_tables_have_to_be_there(place):
    """Without `migrate=True` an App refuses to open on tables that are not those of its version."""
    app = await place.open(REDEEM)
    await rows(app, "ALTER TABLE tieout_migration RENAME TO kept_migration")
    try:
        with pytest.raises(SchemaMismatch, match="tieout migrate") as refused:
            await place.open(REDEEM, migrate=False)
        assert refused.value.code == "schema-mismatch"
    finally:
        await rows(app, "ALTER TABLE kept_migration RENAME TO tieout_migration")


async def test_closing_lets_running_work_end(place, shop):
    """A call that is out when the App is closed is waited for, within `drain`, and its answer counts."""
    app = await place.open(REDEEM, shop=shop, limits=Limits(drain=60))
    answer = Late(A)
    shop.will("issue", answer)
    kind = redeem(timeout=5)
    app.types.clear()
    app.register(kind)
    process = await app.start(kind(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    closing = asyncio.create_task(app.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    answer.go.set()
    await closing
    other = await place.open(kind, shop=shop)
    assert (await other.get(process.id)).state == "completed"


async def test_closing_does_not_wait_for_ever(place, shop):
    """What has not ended within `drain` is cancelled; the sweep of another worker finds it."""
    kind = redeem(timeout=60)
    app = await place.open(kind, shop=shop, limits=Limits(drain=0.05))
    shop.will("issue", Lost())
    process = await app.start(kind(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    began = time.monotonic()
    await app.close()
    assert time.monotonic() - began < 30
    other = await place.open(kind, shop=shop)
    assert (await other.get(process.id)).status == "running"


async def test_a_closing_app_starts_nothing_new(place, shop):
    """While it drains, what is accepted is left to the sweep."""
    app = await place.open(REDEEM, shop=shop)
    app.worker.draining = True
    process = await app.start(REDEEM(request_id="r1", user="ann"))
    assert (process.status, shop.sent) == ("running", [])


async def test_wait_ends_when_the_process_does(place, shop):
    """`wait` returns at once with what is final, whoever made it so."""
    app, process = await standing(place, shop)
    waiting = asyncio.create_task(app.wait(process.id, 120))
    await asyncio.sleep(0.02)
    await app.report(key_of(process), A)
    assert (await asyncio.wait_for(waiting, 60)).state == "completed"


async def test_wait_sees_what_another_node_did(place, shop):
    """The starter's own try came to nothing; the push went to another node: the waiter hears of it soon."""
    app = await place.open(REDEEM, shop=shop)
    other = await place.open(REDEEM, shop=shop)
    shop.will("issue", Lost())
    request = REDEEM(request_id="r1", user="ann")
    began = time.monotonic()
    waiting = asyncio.create_task(app.start(request, wait=120))
    await until(lambda: shop.sent)
    await eventually(lambda: rows(other, "SELECT 1 FROM tieout_process"))
    await other.report(f"{request.id}:1", A)
    assert (await waiting).state == "completed"
    assert time.monotonic() - began < 60


async def test_wait_ends_when_the_process_is_held(place, shop):
    """A held process will not move by itself."""
    app, process = await standing(place, shop)
    waiting = asyncio.create_task(app.wait(process.id, 120))
    await asyncio.sleep(0.02)
    await app.operate.hold(raw(process), ANN)
    assert (await asyncio.wait_for(waiting, 60)).status == "held"


async def test_wait_gives_up(place, shop):
    """After its time it returns the process as it is."""
    app, process = await standing(place, shop)
    began = time.monotonic()
    assert (await app.wait(process.id, "50ms")).status == "running"
    assert time.monotonic() - began < 20
    assert app._waiters == {}  # noqa: SLF001 - nothing may be left behind


async def test_a_wait_that_is_no_duration_starts_nothing(place, shop):
    """It is refused before anything is stored."""
    app = await place.open(REDEEM, shop=shop)
    for wait in ("soon", -1, float("nan")):
        with pytest.raises(ConfigError):
            await app.start(REDEEM(request_id="r1", user="ann"), wait=wait)
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(0,)]


async def test_a_cancelled_starter_leaves_a_process_that_goes_on(place, shop):
    """The client dies after its request was accepted: the process does not need it."""
    app = await place.open(REDEEM, shop=shop)
    answer = Late(A)
    shop.will("issue", answer)
    request = REDEEM(request_id="r1", user="ann")
    starting = asyncio.create_task(app.start(request, wait=30))
    await until(lambda: shop.sent)
    starting.cancel()
    answer.go.set()
    assert (await app.wait(request.id, 60)).state == "completed"


@pytest.mark.parametrize("process", ["", "r1", "0" * 31, "0" * 33, "x" * 32, "\0" * 32, None, 5, "0" * 32])
async def test_an_id_that_nobody_has_is_unknown(place, process):
    """Whatever is asked for that is no process raises `UnknownProcess`."""
    app = await place.open(REDEEM)
    with pytest.raises(UnknownProcess):
        await app.get(process)
    with pytest.raises(UnknownProcess):
        await app.wait(process, 0.01)


async def test_processes_are_listed_newest_first_page_by_page(place, shop):
    """Every process once, in order, also those created at the same moment."""
    app = await place.open(REDEEM, shop=shop)
    for n in range(12):
        await app.start(REDEEM(request_id=f"r{n}", user="ann"), wait=60)
    await rows(app, "UPDATE tieout_process SET created = created - created % 3")
    seen, last = [], None
    while True:
        behind = {} if last is None else {"before": last.created, "before_id": raw(last)}
        page = await app.list(Filter(limit=5, **behind))
        seen += page
        if len(page) < 5:
            break
        last = page[-1]
    assert len({process.id for process in seen}) == len(seen) == 12
    assert [process.created for process in seen] == sorted((process.created for process in seen), reverse=True)


async def test_processes_are_listed_by_what_is_asked_for(place, shop):
    """Type, state and status narrow the list."""
    other = redeem(name="other")
    app = await place.open(REDEEM, other, shop=shop)
    shop.will("issue", A, Unknown("?"), A)
    for kind, key in ((REDEEM, "r1"), (REDEEM, "r2"), (other, "r1")):
        await app.start(kind(request_id=key, user="ann"))
        await rest(app)
    assert [process.key for process in await app.list(Filter(status="running"))] == ["r2"]
    assert [process.type for process in await app.list(Filter(state="completed"))] == ["other", "redeem"]
    assert [process.key for process in await app.list(Filter(type="redeem"))] == ["r2", "r1"]
    assert await app.list(Filter(state="nowhere")) == []


async def test_a_process_is_readable_without_its_type(place, shop):
    """A node that does not know the type shows the result as plain values."""
    app = await place.open(REDEEM, shop=shop)
    process = await app.start(REDEEM(request_id="r1", user="ann"), wait=60)
    stranger = await place.open(redeem(name="another"))
    assert (await stranger.get(process.id)).result == {"code": "A1", "sku": "mug", "note": None}


async def test_a_report_drives_the_next_call_at_once(place, shop):
    """Whoever takes the push goes straight on: no sweep is waited for."""
    from tests.process.test_gate import TwoCalls

    app, process = await standing(place, shop, TwoCalls)
    shop.will("issue", Succeeded("two"))
    await app.report(key_of(process), Succeeded("one"))
    assert (await app.wait(process.id, 60)).state == "completed"


async def test_a_crash_while_open_leaves_nothing_in_the_way(place, shop):
    """An App that died is not closed properly; another one opens and goes on."""
    app, process = await standing(place, shop)
    await close_at_once(app)
    other = await place.open(REDEEM, shop=shop)
    await other.report(key_of(process), A)
    assert (await other.get(process.id)).state == "completed"


async def test_an_app_is_opened_once_at_a_time(tmp_path):
    """A second opening would lose sight of the first one's worker: it is refused, and the first goes on."""
    app = App(f"sqlite:///{tmp_path}/a.db")
    async with app:
        worker = app.worker
        with pytest.raises(UsageError, match="open already"):
            await app.__aenter__()
        assert app.worker is worker


async def test_whatever_fails_while_it_closes_the_rest_is_closed(tmp_path, monkeypatch):
    """An error of one part reaches the caller, and leaves neither tasks nor connections behind."""
    before = asyncio.all_tasks()
    app = App(f"sqlite:///{tmp_path}/a.db")

    async def fail():
        raise ValueError

    await app.__aenter__()
    monkeypatch.setattr(app.consuming, "close", fail)
    with pytest.raises(ValueError):  # noqa: PT011 - it is the one that was raised above
        await app.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(AppClosed):
        await app.get("0" * 32)


async def test_a_cancelled_close_leaves_nothing_at_work(place, shop):
    """Who does not want to wait for what is running cancels: it ends at once, and the sweep finds it again."""
    shop.will("issue", Lost())
    before = asyncio.all_tasks()
    app = await place.open(REDEEM, shop=shop)
    process = await app.start(REDEEM(request_id="r1", user="ann"))
    await until(lambda: shop.sent)
    closing = asyncio.create_task(app.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert asyncio.all_tasks() == before
    with pytest.raises(AppClosed):
        await app.get(process.id)
