"""Processes that fork: gunicorn with a preloaded application, Celery's prefork pool."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import pytest

from tests.blocking.place import points
from tests.blocking.shop import redeem
from tieout.errors import AppForked

CHILDREN = 3


def child(work: Callable[[], object]) -> int:
    """Run `work` in a child process; return its id. The child ends with status 0 if `work` returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that forks and threads do not go together is what this is about
        pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - the child must end here, whatever happens
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_app_that_was_opened_before_a_fork_is_refused(place):
    """In a child every use of the parent's App raises; the parent's goes on."""
    kind = redeem()
    app = place.open(kind)
    first = app.start(kind(request_id="r1", user="ann"), wait=60)

    def use() -> None:
        for call in (
            lambda: app.start(kind(request_id="r2", user="ann")),
            lambda: app.get(first.id),
            lambda: app.report(f"{first.id}:1", None),
            lambda: app.database.transact(lambda _: None),
        ):
            with pytest.raises(AppForked):
                call()

    assert status(child(use)) == 0
    assert app.start(kind(request_id="r3", user="ann"), wait=60).state == "completed"


def test_a_child_may_open_it_anew(place):
    """An App of the parent's is opened in the child, whose connections and threads are its own."""
    kind = redeem()
    app = place.open(kind)
    app.start(kind(request_id="r1", user="ann"), wait=60)

    def use() -> None:
        with app:
            assert app.start(kind(request_id="r2", user="ann"), wait=60).state == "completed"
            assert app.start(kind(request_id="r1", user="ann"), wait=60).replayed

    assert [status(child(use)) for _ in range(2)] == [0, 0]
    assert app.start(kind(request_id="r3", user="ann"), wait=60).state == "completed"
    assert points(app) == 970


def test_a_preloaded_app_is_opened_in_each_child(place):
    """An App that is built before the fork and opened after it, as gunicorn and Celery do, works in every child."""
    kind = redeem()
    app = place.app(kind, sweep=True)

    def serve() -> None:
        with app:
            for n in range(10):
                assert app.start(kind(request_id=f"r{n}", user="ann", cost=1), wait=60).state == "completed"

    children = [child(serve) for _ in range(CHILDREN)]
    assert [status(pid) for pid in children] == [0] * CHILDREN
    with place.app(kind) as looked:
        assert (points(looked), len(looked.list())) == (990, 10)
