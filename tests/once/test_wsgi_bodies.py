"""How the body of a request is read over WSGI: its limits, its end, and what the route finds of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.once.wsgi_web import Till, call, environ_of, reply


@pytest.fixture
def till(tmp_path: Any) -> Iterator[Till]:
    """SQLite: what is tried here is the same on every database."""
    till = Till(f"sqlite:///{tmp_path}/once.db")
    till.prepare()
    yield till
    till.close()


def echo(service: Any, environ: Any, start_response: Any) -> Any:
    """Whether it is protected, and all of its body, read to its end where the server says that it has one."""
    size = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    return reply(start_response, ["tieout.tx" in environ, environ["wsgi.input"].read(size).decode()])


class Cut:
    """The input of a client that goes before its request is whole."""

    def __init__(self, data: bytes, error: type[Exception] | None) -> None:
        self._data = io.BytesIO(data)
        self._error = error

    def read(self, size: int) -> bytes:
        data = self._data.read(min(size, 4))
        if not data and self._error is not None:
            raise self._error
        return data


def test_a_long_request_is_refused(till: Till) -> None:
    """A body over the limit is refused, unread when its length is stated; one at the limit is not."""
    client, service = till.serve(max_request=14)
    assert client.send("k1", {"sku": "mug"}).status == 201
    refused = client.send("k2", data=b"x" * 15)
    assert (refused.status, refused.code) == (413, "too-large")
    chunked = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert client.send("k2", data=b"x" * 15, **chunked).code == "too-large"
    unread = io.BytesIO(b"x" * 15)
    client.app(
        environ_of("POST", "/", b"x" * 15) | {"HTTP_IDEMPOTENCY_KEY": "k", "wsgi.input": unread}, lambda *_: None
    )
    assert (unread.tell(), service.runs) == (0, 1)


def test_a_long_request_may_go_through_unprotected(till: Till) -> None:
    """With `oversize="pass"` it reaches the route whole, in no transaction, and is not remembered."""
    client, service = till.serve(echo, max_request=14, oversize="pass")
    body, chunked = b"0123456789" * 3, {"CONTENT_LENGTH": None, "wsgi.input_terminated": True}
    for _ in range(2):
        assert client.send("k1", data=body).json == [False, body.decode()]
        assert client.send("k1", data=body, **chunked).json == [False, body.decode()]
    assert (service.runs, till.answers) == (4, 0)


def test_a_long_body_is_read_line_by_line(till: Till) -> None:
    """What was read of a body that goes through, and what was not, are one stream to the route."""

    def lines(service: Any, environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        return reply(start_response, [stream.readline().decode(), *(line.decode() for line in stream)])

    client, _ = till.serve(lines, max_request=3, oversize="pass")
    got = client.send("k1", data=b"one\ntwo\nthree", CONTENT_LENGTH=None, **{"wsgi.input_terminated": True})
    assert got.json == ["one\n", "two\n", "three"]


def test_a_body_in_chunks_is_read_to_its_end(till: Till) -> None:
    """Where the server says that the input ends: the route is told the length, and a repetition is the same request."""
    client, service = till.serve(max_request=1_000)
    chunked = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert [client.send("k1", **chunked).replayed for _ in range(2)] == [False, True]
    assert client.send("k1").replayed
    assert service.runs == 1


@pytest.mark.parametrize(
    "fields", [{"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "-1"}]
)
def test_a_body_without_an_end_is_refused(till: Till, fields: dict) -> None:
    """Where nobody can tell how long a body is, two requests would look the same: 411, and nothing is run."""
    client, service = till.serve(echo)
    environ = environ_of("POST", "/", b"x") | {"HTTP_IDEMPOTENCY_KEY": "k"} | fields
    refused = call(client.app, {name: value for name, value in environ.items() if value is not None})
    assert (refused.status, refused.code, service.runs) == (411, "length-required", 0)


def test_a_request_without_a_body(till: Till) -> None:
    """Neither a length nor chunks: there is no body, and its input is not touched."""
    client, _ = till.serve(echo)
    assert client.send("k1", data=b"", CONTENT_LENGTH=None).json == [True, ""]
    assert client.send("k2", data=b"more", CONTENT_LENGTH="").json == [True, ""]


@pytest.mark.parametrize("error", [None, ConnectionResetError])
def test_a_client_that_goes_before_its_request_is_whole_is_let_go(till: Till, error: Any) -> None:
    """Nothing is run for half a request, whether its input ends or raises."""
    client, service = till.serve()
    environ = environ_of("POST", "/prizes", b"x" * 20) | {"HTTP_IDEMPOTENCY_KEY": "k1"}
    assert call(client.app, environ | {"wsgi.input": Cut(b'{"sku": ', error)}).status == 400
    assert (service.runs, till.answers) == (0, 0)
