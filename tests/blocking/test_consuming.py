"""Messages come in without an event loop: each has its effect once, run by a plain handler in a thread."""

from __future__ import annotations

import threading

import pytest

from tests.blocking.place import Place, points, rows, until
from tests.blocking.shop import redeem
from tests.messages.belt import Belt, delivery
from tieout import DefinitionError, Delivery, Pending, blocking
from tieout.blocking.consuming import AT_ONCE
from tieout.letters import consuming


@pytest.fixture
def belts() -> dict[str, Belt]:
    return {"stock": Belt(), "starts": Belt(), "reports": Belt()}


def acknowledged(belt: Belt, count: int) -> None:
    until(lambda: len(belt.acknowledged) == count)


def noting(app: blocking.App) -> list[str]:
    """Let each message of `stock/t` leave a posting; the names of the threads that did it."""
    threads: list[str] = []

    @app.consume("stock/t")
    def note(tx: blocking.Transaction, message: Delivery) -> None:
        threads.append(threading.current_thread().name)
        tx.execute("INSERT INTO posting (process, what) VALUES ('m', :what)", what=message.body.decode())

    return threads


def test_each_message_has_its_effect_once(place: Place, belts):
    """Repetitions and lost acknowledgements included; where the database can, several run at a time."""
    app = place.app(channels=belts, sweep=True)
    threads = noting(app)
    belts["stock"].loses_acknowledgements = 1
    belts["stock"].put(*(delivery(n % 300, b"%d" % (n % 300)) for n in range(320)))
    with app:
        acknowledged(belts["stock"], 320)
        assert sorted(int(what) for (what,) in rows(app, "SELECT what FROM posting")) == list(range(300))
    names = set(threads)
    assert threading.current_thread().name not in names
    assert names == {"tieout-sqlite-writer"} or 1 < len(names) <= AT_ONCE


def test_requests_and_reports_by_message(place: Place, shop, belts):
    """A message starts a process, another one reports on its call: it is completed, once, though both come twice."""
    shop.script.extend([Pending(3600)] * 2)
    kind = redeem()
    app = place.app(kind, shop=shop, channels=belts, sweep=True)
    app.consume_starts("starts/t", kind)
    app.consume_reports("reports/t")
    request = delivery(1, {"request_id": "r1", "user": "ann"})
    belts["starts"].put(request, request)
    with app:
        acknowledged(belts["starts"], 2)
        [process] = app.list()
        until(lambda: app.get(process.id).state == "issue" and shop.sent)
    told = {"call_key": f"{process.id}:1", "outcome": "succeeded", "value": {"code": "A1"}}
    belts["reports"] = app.core.channels["reports"] = Belt()
    belts["reports"].put(delivery(2, told), delivery(3, told), delivery(2, told))
    belts["starts"] = app.core.channels["starts"] = Belt()
    with app:
        acknowledged(belts["reports"], 3)
        assert app.wait(process.id, 60).state == "completed"
        assert points(app) == 990
        assert app.letters.list() == []


def test_what_fails_is_kept_and_tried_again(place: Place, belts, monkeypatch):
    """A handler that raises holds up nobody: its message is a letter, and is tried again until it is done."""
    monkeypatch.setattr(consuming, "LETTERS_EVERY", 0.05)
    app = place.app(channels=belts, sweep=True)
    failing = ["once"]

    @app.consume("stock/t")
    def note(tx: blocking.Transaction, message: Delivery) -> None:
        tx.execute("INSERT INTO posting (process, what) VALUES ('m', :what)", what=message.body.decode())
        if message.body == b"bad" and failing:
            raise LookupError(failing.pop())

    belts["stock"].put(delivery(1, b"bad"), delivery(2, b"good"))
    with app:
        acknowledged(belts["stock"], 2)
        until(lambda: len(rows(app, "SELECT what FROM posting")) == 2 and not app.letters.list())


def test_closing_waits_for_what_was_begun(place: Place, belts):
    """A handler at work when the App is closed has its effect; its message is not handled again by the next App."""
    app = place.app(channels=belts, sweep=True)
    begun, goes_on = threading.Event(), threading.Event()

    @app.consume("stock/t")
    def note(tx: blocking.Transaction, message: Delivery) -> None:
        begun.set()
        assert goes_on.wait(10)
        tx.execute("INSERT INTO posting (process, what) VALUES ('m', 'done')")

    belts["stock"].put(delivery(1, b"x"))
    with app:
        assert begun.wait(10)
        threading.Timer(0.1, goes_on.set).start()
    again = place.app(channels={"stock": (belt := Belt())}, sweep=True)
    noting(again)
    belt.put(delivery(1, b"x"))
    with again:
        acknowledged(belt, 1)
        assert rows(again, "SELECT what FROM posting") == [("done",)]


def test_a_handler_of_the_wrong_colour_is_refused(place: Place, belts):
    """A blocking App takes `def` handlers only, and says so when they are declared."""

    async def restock(tx: blocking.Transaction, message: Delivery) -> None:
        """Never run."""

    with pytest.raises(DefinitionError, match="must be `def handler"):
        place.app(channels=belts).consume("stock/t")(restock)
