"""The blocking App: what the asynchronous one promises, on threads and on every database."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tieout
from tests.blocking.kinds import Leaf, Tree
from tests.blocking.place import done, points, sweep, until
from tests.blocking.shop import Prize, redeem
from tieout import Answer, Answered, Failed, Found, Limits, Next, NotFound, Pending, Sending, Succeeded, blocking
from tieout.blocking.threads import Threads
from tieout.database.driving import drive
from tieout.errors import (
    AppClosed,
    AwaitInTransaction,
    ParamsChanged,
    Refused,
    UnknownCall,
    UsageError,
)


def test_a_request_comes_to_its_end_once(place, shop):
    """Business write, call and final state happen once; the same request again gets the same process."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    first = app.start(kind(request_id="r1", user="ann"), wait=60)
    again = app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (first.state, first.status, first.result) == ("completed", "final", Prize("A1"))
    assert (again.id, again.state, first.replayed, again.replayed) == (first.id, "completed", False, True)
    assert (points(app), done(app, first), len(shop.sent)) == (990, ["complete", "deduct"], 1)
    assert (shop.sent[0].key, shop.sent[0].timeout) == (f"{first.id}:1", 2.0)
    assert [view.id for view in app.list()] == [app.get(first.id).id] == [first.id]


def test_a_refusal_stores_nothing(place, shop):
    """What a start step wrote before it raised is gone, and the error comes out as raised."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    with pytest.raises(Refused, match="no points"):
        app.start(kind(request_id="r1", user="ann", cost=5_000))
    assert (points(app), list(app.list()), shop.sent) == (1_000, [], [])


def test_a_changed_request_is_refused(place):
    """The same key with other params is refused, by name."""
    kind = redeem()
    app = place.open(kind)
    app.start(kind(request_id="r1", user="ann"), wait=60)
    with pytest.raises(ParamsChanged) as told:
        app.start(kind(request_id="r1", user="ann", cost=20))
    assert told.value.fields == ("cost",)


def test_duplicates_at_the_same_time_are_one(place, shop):
    """Of many threads that start the same request at once, one starts it and all get it."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    with ThreadPoolExecutor(16) as threads:
        views = list(threads.map(lambda _: app.start(kind(request_id="r1", user="ann"), wait=60), range(48)))
    assert {view.state for view in views} == {"completed"}
    assert [view.replayed for view in views].count(False) == 1
    assert (points(app), len(shop.sent)) == (990, 1)


def test_many_threads_lose_nothing(place, shop):
    """Requests of many threads all come to their end, each with its own effect."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    with ThreadPoolExecutor(12) as threads:
        views = list(
            threads.map(lambda n: app.start(kind(request_id=f"r{n}", user="ann", cost=1), wait=60), range(120))
        )
    assert {view.state for view in views} == {"completed"}
    assert (points(app), len({send.key for send in shop.sent})) == (880, 120)


def test_what_is_unknown_is_asked_for(place, shop):
    """A call that raised may have been done: it is queried, and the answer of the query ends it."""
    kind = redeem(query_after=0.02, settle=0.04)
    app = place.open(kind, shop=shop)
    shop.script.append(ConnectionResetError("no answer"))
    shop.answers.append(Succeeded(Prize("B2")))
    view = app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (view.state, view.result, len(shop.sent), len(shop.asked)) == ("completed", Prize("B2"), 1, 1)


def test_the_sweep_alone_finishes(place, shop):
    """A process that nobody looks after is found when it is due: queried, and sent again with the same key."""
    kind = redeem(query_after=0.05, settle=0)
    app = place.open(kind, shop=shop, limits=Limits(in_flight=4))
    app.core.worker.draining = True  # as if the process that started it had died at once
    view = app.start(kind(request_id="r1", user="ann"))
    app.core.worker.draining = False
    sweep(app)
    assert (app.get(view.id).state, [send.key for send in shop.sent]) == ("completed", [f"{view.id}:1"])


def test_its_own_sweep_runs_on_threads(place, shop):
    """`with app:` sweeps by itself, and an App of another process goes on with what one left."""
    kind = redeem(query_after=0.02, settle=0)
    first = place.open(kind, shop=shop)
    first.core.worker.draining = True
    view = first.start(kind(request_id="r1", user="ann"))
    first.database.transact(lambda tx: tx.execute("UPDATE tieout_process SET due = {now} - 1"))
    with place.app(kind, shop=shop, sweep=True, limits=Limits(in_flight=4, sweep_every=0.05)) as other:
        assert other.wait(view.id, 60).state == "completed"
    assert len(shop.sent) == 1


def test_a_failure_runs_the_other_way(place, shop):
    """Failed runs the compensation, with the reason."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    shop.script.append(Failed("sold-out"))
    view = app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (view.state, view.result, done(app, view)) == ("refunded", "sold-out", ["deduct", "refund"])


def test_a_push_ends_what_is_pending(place, shop):
    """A report from outside moves the process; a second one is a duplicate, one for no call is unknown."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    shop.script.append(Pending())
    view = app.start(kind(request_id="r1", user="ann"))
    until(lambda: app.core.worker.in_flight == 0)
    assert app.report(f"{view.id}:1", Succeeded(Prize("P"))) == "advanced"
    assert app.report(f"{view.id}:1", Succeeded(Prize("P"))) == "duplicate"
    with pytest.raises(UnknownCall):
        app.report(f"{view.id}:2", Succeeded(Prize("P")))
    assert app.wait(view.id, 60).result == Prize("P")


def test_a_late_answer_is_reported(place, shop):
    """A handler that does not heed its time-out holds nobody up, and what it says in the end still counts."""
    kind = redeem(timeout=0.05, query_after=60)
    app = place.open(kind, shop=shop)
    go = threading.Event()

    def slow() -> Any:
        assert go.wait(60)
        return Succeeded(Prize("late"))

    shop.script.append(slow)
    begun = time.monotonic()
    view = app.start(kind(request_id="r1", user="ann"))
    until(lambda: app.core.worker.in_flight == 0)
    assert (app.get(view.id).status, time.monotonic() - begun < 30) == ("running", True)
    go.set()
    assert app.wait(view.id, 60).result == Prize("late")


def test_calls_that_find_no_thread_have_not_left(place, shop):
    """With every thread for calls taken, a call is not sent, now or later; it is tried again."""
    kind = redeem(timeout=0.05, query_after=60)
    app = place.open(kind, shop=shop, limits=Limits(in_flight=1))
    go = threading.Event()
    shop.script.append(lambda: go.wait(60) and Succeeded(Prize("A")))
    stuck = app.start(kind(request_id="r1", user="ann"))
    until(lambda: app.core.worker.in_flight == 0)
    other = app.start(kind(request_id="r2", user="ann"))
    until(lambda: app.core.worker.in_flight == 0)
    assert [send.key for send in shop.sent] == [f"{stuck.id}:1"]
    assert app.get(other.id).status == "running"
    go.set()
    until(lambda: app.get(stuck.id).state == "completed")
    assert [send.key for send in shop.sent] == [f"{stuck.id}:1"]


def test_a_lookup_is_kept_for_every_try(place):
    """What a call recalls is looked up once, and every try is given the same."""
    looked_up: list[int] = []

    class Quote(tieout.Process[Any], name="quote", key="request_id"):
        request_id: str
        done = tieout.Final[int]()

        @tieout.start(to="ask")
        def begin(self, tx: blocking.Transaction) -> Next:
            return self.ask.next()

        @tieout.call(timeout=2, query_after=0.02, settle=0)
        def ask(self, send: Sending) -> Answer[int]:
            rate = blocking.recall(send, "rate", lambda: looked_up.append(1) or 7)
            if len(looked_up) == 1 and send.attempt == 1:
                raise ConnectionResetError
            return Succeeded(rate)

        @ask.query
        def find(self, send: Sending) -> Found[int]:
            return NotFound()

        @ask.succeeded(to="done")
        def end(self, tx: blocking.Transaction, rate: int) -> Next:
            return self.done(rate)

        @ask.failed(to="done")
        def no(self, tx: blocking.Transaction, why: Failed) -> Next:
            return self.done(0)

    app = place.open(Quote)
    view = app.start(Quote(request_id="r1"))
    until(lambda: app.core.worker.in_flight == 0)
    sweep(app)
    assert app.wait(view.id, 60).result == 7


def test_waits_of_every_kind(place):
    """Several calls at a time, a timer, children and a cancellation, in plain functions."""
    app = place.open(Leaf, Tree, sweep=True, limits=Limits(in_flight=8, sweep_every=0.05))
    short = app.start(Tree(request_id="short"), wait=60)
    assert (short.state, short.result) == ("done", ["short-0", "short-1", "short-2"])
    long = app.start(Tree(request_id="long"))
    until(lambda: app.get(long.id).state == "night")
    app.cancel(long.id, actor="ann", reason="changed my mind")
    assert app.wait(long.id, 60).result == "changed my mind"


def test_an_answer_is_given_once(place):
    """`once` runs a plain handler one time for each key, also when many threads ask, and finds its answer again."""
    app = place.open()
    runs: list[str] = []

    @app.once("gift", wait="10s")
    def gift(tx: blocking.Transaction, name: str, n: int = 1) -> int:
        runs.append(name)
        tx.execute("UPDATE account SET points = points + :n WHERE name = :name", n=n, name=name)
        return n * 2

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: gift.run("k1", name="ann", n=5), range(16)))
    assert {one.value for one in given} == {10}
    assert (len(runs), points(app)) == (1, 1_005)
    assert gift.find("k1") == Answered(10, replayed=True)
    with pytest.raises(ParamsChanged):
        gift.run("k1", name="ann", n=6)


def test_a_message_is_taken_in_once(place):
    """The inbox knows a message that was delivered before."""
    app = place.open()
    taken = [app.database.transact(lambda tx: app.inbox.once(tx, "queue", "m1")) for _ in range(3)]
    assert taken == [True, False, False]


def test_an_operator_commands_without_await(place, shop):
    """Commands and alarms of the operator are plain calls."""
    kind = redeem()
    app = place.open(kind, shop=shop)
    shop.script.append(Pending())
    view = app.start(kind(request_id="r1", user="ann"))
    until(lambda: app.core.worker.in_flight == 0)
    act = tieout.process.operating.Act("ann", "as agreed")
    app.operate.hold(bytes.fromhex(view.id), act)
    assert app.get(view.id).status == "held"
    app.operate.resume(bytes.fromhex(view.id), act)
    assert (app.get(view.id).status, app.alarms.list()) == ("running", [])
    assert [row.action for row in app.inspect(view.id).audit] == ["hold", "resume"]


def test_transactions_of_ones_own(place):
    """Plain work commits or rolls back whole; a savepoint goes alone; results stream."""
    app = place.open()

    def broken(tx: blocking.Transaction) -> None:
        tx.execute("UPDATE account SET points = 0")
        raise LookupError

    def work(tx: blocking.Transaction) -> int:
        with pytest.raises(LookupError):
            tx.savepoint(broken)
        tx.execute_many("INSERT INTO account (name, points) VALUES (:name, 1)", [{"name": f"n{n}"} for n in range(9)])
        return tx.fetch_one("SELECT count(*) AS n FROM account")["n"]

    with pytest.raises(LookupError):
        app.database.transact(broken)
    assert app.database.transact(work) == 10
    batches = [len(batch) for batch in app.database.stream("SELECT name FROM account", batch=4)]
    assert (batches, points(app) in (1, 1_000)) == ([4, 4, 2], True)


def test_a_transaction_inside_a_transaction_is_refused_on_sqlite(tmp_path):
    """The only writer cannot wait for itself: whoever tries is told."""
    with blocking.App(f"sqlite:///{tmp_path}/shop.db") as app, pytest.raises(AwaitInTransaction):
        app.database.transact(lambda _: app.database.transact(lambda _: None))


def test_a_closed_app_is_told(place):
    """Before `with` and after it nothing begins; it may be opened again."""
    kind = redeem()
    app = place.app(kind)
    with pytest.raises(AppClosed):
        app.start(kind(request_id="r1", user="ann"))
    with app:
        app.start(kind(request_id="r1", user="ann"), wait=60)
    with pytest.raises(AppClosed):
        app.start(kind(request_id="r1", user="ann"))
    with app:
        assert app.start(kind(request_id="r1", user="ann"), wait=60).replayed


def test_closing_lets_running_work_end(place, shop):
    """A call that is on its way when the App closes is waited for, and its answer stored."""
    kind = redeem()
    begun, go = threading.Event(), threading.Event()
    shop.script.append(lambda: (begun.set(), go.wait(60)) and Succeeded(Prize("A")))
    with place.app(kind, shop=shop) as app:
        view = app.start(kind(request_id="r1", user="ann"))
        assert begun.wait(60)
        threading.Timer(0.05, go.set).start()
    with place.app(kind) as app:
        assert app.get(view.id).state == "completed"


def test_closing_does_not_wait_for_ever(place, shop):
    """A handler that hangs is left after `drain`, and keeps neither the App nor the program from ending."""
    kind = redeem(timeout=60)
    go = threading.Event()
    shop.script.append(lambda: go.wait(60) and Succeeded(Prize("A")))
    begun = time.monotonic()
    with place.app(kind, shop=shop, limits=Limits(in_flight=4, drain=0.1)) as app:
        view = app.start(kind(request_id="r1", user="ann"))
        until(lambda: shop.sent)
    assert time.monotonic() - begun < 30
    with place.app(kind) as app:
        assert app.get(view.id).status == "running"
    go.set()


def test_awaiting_what_is_not_there_is_told():
    """A coroutine that suspends is refused with a reason, and not left hanging."""
    with pytest.raises(UsageError, match="event loop"):
        drive(asyncio.sleep(0))


def test_threads_are_bounded():
    """No more threads are made than allowed, and each task is run once."""
    threads = Threads(3, "test")
    names: set[str] = set()
    ran = [threads.submit(lambda: names.add(threading.current_thread().name)) for _ in range(200)]
    for future in ran:
        future.result(5)
    assert 1 <= len(names) <= 3
    threads.close()
