"""What an application and a server may do by the letter of WSGI, and what either may do wrong."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import tieout
from tests.once.faults import Doomed, Hurried
from tests.once.wsgi_web import Parts, Till, call, environ_of, give, reply
from tieout import blocking, current_tx
from tieout.database.retrying import TRIES
from tieout.once.exchange import stated_length


@pytest.fixture
def till(tmp_path: Any) -> Iterator[Till]:
    """SQLite: what is tried here is the same on every database."""
    till = Till(f"sqlite:///{tmp_path}/once.db")
    till.prepare()
    yield till
    till.close()


def test_what_a_route_raises_is_its_servers(till: Till) -> None:
    """An exception rolls back, reaches the server as it is, and keeps nothing; at its call as in a generator."""

    def fail(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        raise tieout.Refused("as the route says") if service.runs == 2 else ZeroDivisionError

    def fail_late(service: Any, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            yield b"x"
            fail(service, environ, start_response)
        finally:
            service.closed.append(service.runs)

    for route in (fail, fail_late):
        client, service = till.serve(route)
        for error in (ZeroDivisionError, tieout.Refused, ZeroDivisionError):
            with pytest.raises(error):
                client.send("k1")
            assert (till.effects, till.answers) == (0, 0)
    assert service.closed == [1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_route_is_rolled_back(till: Till, error: Any) -> None:
    """What ends the worker goes on to its server; the answer is closed, and the key is free."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        if service.runs > 1:
            return reply(start_response, 1)
        start_response("200 OK", [("Content-Type", "a/b")])
        return Parts(raising(error), lambda: service.closed.append("closed"))

    client, service = till.serve(route)
    with pytest.raises(error):
        client.send("k1")
    assert (service.closed, till.effects) == (["closed"], 0)
    assert (client.send("k1").status, till.effects) == (200, 1)


def raising(error: type[BaseException] | BaseException) -> Iterator[bytes]:
    yield b""
    raise error


def no_start(service: Any, environ: Any, start_response: Any) -> Any:
    return [b"x"]


def empty(service: Any, environ: Any, start_response: Any) -> Any:
    return []


def twice(service: Any, environ: Any, start_response: Any) -> Any:
    reply(start_response, 1)
    return reply(start_response, 2)


def text(service: Any, environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return ["text"]


def nonsense(service: Any, environ: Any, start_response: Any) -> Any:
    start_response("fine", [])
    return [b""]


@pytest.mark.parametrize(
    ("route", "error"),
    [
        (no_start, tieout.UsageError),
        (empty, tieout.UsageError),
        (twice, tieout.UsageError),
        (text, TypeError),
        (nonsense, ValueError),
    ],
)
def test_a_broken_application_is_an_error(till: Till, route: Any, error: Any) -> None:
    """No answer, two of them, one that is not bytes: an error for the server to report, and nothing is kept."""
    client, _ = till.serve(lambda *given: (give(), route(*given))[1])
    with pytest.raises(error):
        call(client.app, environ_of("POST", "/", b"") | {"HTTP_IDEMPOTENCY_KEY": "k1"})
    assert (till.effects, till.answers) == (0, 0)


def test_a_response_in_parts_is_kept_whole(till: Till) -> None:
    """What is written and what a generator yields, empty parts and repeated fields: all in order, twice."""

    def parts(service: Any, environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("X-A", "\xe9"), ("X-A", "2"), ("Content-Type", "a/b")])
        write(b"\xff")
        yield b""
        give()
        yield b"\x00"
        yield b"z"

    client, _ = till.serve(parts)
    for _ in range(2):
        begun: list[Any] = []
        environ = environ_of("POST", "/", b"") | {"HTTP_IDEMPOTENCY_KEY": "k1"}
        given = client.app(environ, lambda *args, begun=begun: begun.extend(args))
        assert (len(given), list(given)) == (1, [b"\xff\x00z"])
        given.close()
        assert [field for field in begun[1] if field[0] == "X-A"] == [("X-A", "\xe9"), ("X-A", "2")]
    assert till.effects == 1


def test_an_application_may_change_its_mind(till: Till) -> None:
    """With `exc_info` another answer takes the place of the first, of which nothing was sent."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"half"
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            start_response("422 No", [("Content-Type", "text/html")], sys.exc_info())
        yield b"sorry"

    client, _ = till.serve(route)
    for _ in range(2):
        answer = client.send("k1")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (422, b"sorry", "text/html")


def test_it_is_too_late_once_the_answer_is_out(till: Till) -> None:
    """After its end an application can neither begin nor write, and is raised what it wanted to tell."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Type", "a/b")])

        def close() -> None:
            for late in (lambda: write(b"x"), lambda: start_response("200 OK", [])):
                with pytest.raises(tieout.UsageError):
                    late()
            try:
                _ = 1 / 0
            except ZeroDivisionError:
                start_response("500 No", [], sys.exc_info())

        return Parts([b"x"], close)

    client, _ = till.serve(route)
    with pytest.raises(ZeroDivisionError):
        client.send("k1")
    assert (client.send("k1").body, till.answers) == (b"x", 1)


def forever(service: Any, environ: Any, start_response: Any) -> Iterator[bytes]:
    give()
    start_response("200 OK", [])
    try:
        while True:
            yield b"x" * 100
    finally:
        service.closed.append("closed")


def written(service: Any, environ: Any, start_response: Any) -> Any:
    give()
    write = start_response("200 OK", [])
    try:
        while True:
            write(b"x" * 100)
    finally:
        service.closed.append("closed")


@pytest.mark.parametrize("route", [forever, written])
def test_a_long_answer_is_rolled_back(till: Till, route: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that is too long to be kept, or never ends, is a clear error of the service, and is closed."""
    client, service = till.serve(route, max_answer=1_000)
    refused = client.send("k1")
    assert (refused.status, refused.code, service.closed) == (500, "unrepeatable", ["closed"])
    assert "/prizes: an answer is longer than 1000 bytes" in caplog.text
    assert (till.effects, till.answers) == (0, 0)


def test_a_file_is_collected(till: Till) -> None:
    """A route that would let the server send a file finds that it cannot, and sends it in parts."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        assert "wsgi.file_wrapper" not in environ
        start_response("200 OK", [("Content-Type", "a/b")])
        file = io.BytesIO(b"file")
        return iter(lambda: file.read(2), b"")

    client, _ = till.serve(route)
    assert client.send("k1", **{"wsgi.file_wrapper": object()}).body == client.send("k1").body == b"file"


def test_a_route_has_an_end(till: Till) -> None:
    """A generator is stopped when its time is over; a route that came back too late is rolled back all the same."""

    def late(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        client.once.clock.now += 21
        return reply(start_response, 1)

    def endless(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        start_response("200 OK", [])
        while True:
            yield b""
            client.once.clock.now += 1

    for route in (late, endless):
        client, _ = till.serve(route)
        client.once.clock = Moved()
        refused = client.send("k1")
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "1")
        assert (till.effects, till.answers) == (0, 0)


class Moved:
    """A clock that a test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_whoever_keeps_sqlites_only_writer_is_rolled_back(till: Till) -> None:
    """A route that begins a transaction of its own inside its transaction waits for itself: the limit ends that."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        app.database.transact(lambda tx: tx.execute("INSERT INTO prize VALUES ('', 'other', 1)"))
        return reply(start_response, 1)

    app = till.app
    client, _ = till.serve(route)
    held = client.once._engine.database  # noqa: SLF001 - five seconds are long for a test
    held._seconds, held._database = 0.05, app.core.database  # noqa: SLF001 - that of the App that the route uses
    refused = client.send("k1")
    assert (refused.status, refused.code, till.effects) == (503, "overloaded", 1)


def test_an_answer_is_sent_only_once_it_is_committed(till: Till) -> None:
    """A commit that fails is a 503, whatever the route said; each run's answer is closed."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        return Parts(reply(start_response, "done"), lambda: service.closed.append(service.runs))

    client, service = till.serve(route)
    engine = client.once._engine  # noqa: SLF001 - the one place where its commits can be made to fail
    working, engine.database, engine.clock = engine.database, Doomed(engine.database), Hurried()
    failed = client.send("k1")
    assert (failed.status, failed.code) == (503, "database-unavailable")
    assert (service.runs, service.closed, till.effects) == (TRIES, [*range(1, TRIES + 1)], 0)
    engine.database = working
    assert (client.send("k1").json, till.effects) == ("done", 1)


def test_a_transaction_that_must_be_repeated_is(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """A deadlock that the route raises is followed by another run of it, with a fresh environ; the first is closed."""

    def unlucky(service: Any, environ: Any, start_response: Any) -> Any:
        assert "marked" not in environ
        environ["marked"] = True
        assert environ["wsgi.input"].read() == b'{"sku": "mug"}'
        give()
        if service.runs == 1:
            start_response("200 OK", [])
            return Parts(raising(tieout.RetryTransaction("deadlock")), lambda: 1 / 0)
        return reply(start_response, service.runs)

    client, _ = till.serve(unlucky)
    assert (
        call(client.app, environ_of("POST", "/prizes", b'{"sku": "mug"}') | {"HTTP_IDEMPOTENCY_KEY": "k1"})
    ).json == 2
    assert till.effects == 1
    assert "/prizes: an answer that was rolled back could not be closed" in caplog.text


def test_a_server_that_cannot_begin_closes_all_the_same(till: Till) -> None:
    """When the server's own start raises, the answer is committed and closed, and a repetition gets it."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        return Parts(reply(start_response, 1), lambda: service.closed.append("closed"))

    def gone(*_: Any) -> Any:
        raise BrokenPipeError

    client, service = till.serve(route)
    with pytest.raises(BrokenPipeError):
        client.app(environ_of("POST", "/prizes", b'{"sku": "mug"}') | {"HTTP_IDEMPOTENCY_KEY": "k1"}, gone)
    assert service.closed == ["closed"]
    assert (client.send("k1").replayed, till.effects) == (True, 1)


def test_the_transaction_is_of_its_kind(till: Till) -> None:
    """`current_tx(blocking.Transaction)` is the route's; a statement after the route's end is refused."""
    kept: list[Any] = []

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        tx = current_tx(blocking.Transaction)
        kept.append(tx)
        assert tx is environ["tieout.tx"]
        with pytest.raises(ZeroDivisionError):
            tx.savepoint(lambda inner: (inner.execute("DELETE FROM prize"), 1 / 0))
        give()
        return reply(start_response, [list(row) for row in tx.fetch("SELECT sku FROM prize")])

    client, _ = till.serve(route)
    assert client.send("k1").json == [["mug"]]
    with pytest.raises(tieout.StatementError, match="has ended"):
        kept[0].fetch("SELECT 1")


@pytest.mark.parametrize("stated", ["\xb2", "-1", "1e3", " 5", ""])
def test_a_length_that_is_no_number(stated: str) -> None:
    """Whatever a server lets through as Content-Length is a number or none; superscripts are digits to Python."""
    assert stated_length(stated) is None
