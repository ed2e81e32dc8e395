"""Limits: what is too long, too slow, too deep or too often is refused, and costs next to nothing."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from pathlib import Path

import pytest

from tests.server.node import PATIENCE, Node, migrate, token

MIB = 1_048_576


def post(place, body: bytes, **headers: str):
    whole = {"Content-Type": "application/json", "Idempotency-Key": f"limits-{time.monotonic_ns()}"} | headers
    return place.client.post("/v1/types/redeem/processes", content=body, headers=whole)


def resident(pid: int) -> int:
    """The memory that a process has, in bytes."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1_024


def test_a_body_over_the_limit_is_refused(place):
    """413, whether its length is announced or not."""
    body = b'{"user":"' + b"x" * MIB + b'"}'
    announced = post(place, body)
    assert (announced.status_code, announced.json()["code"]) == (413, "too-large")

    def pieces():
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    headers = {"Content-Type": "application/json", "Idempotency-Key": "limits-pieces"}
    assert place.client.post("/v1/types/redeem/processes", content=pieces(), headers=headers).status_code == 413


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_body_is_unpacked(place, pack):
    """Gzip and deflate are understood; what they hold is judged as if it had come so."""
    coding = "gzip" if pack is gzip.compress else "deflate"
    answer = post(place, pack(json.dumps({"user": "bob"}).encode()), **{"Content-Encoding": coding})
    assert answer.status_code == 201


def test_a_bomb_does_not_go_off(place):
    """A body that grows a thousandfold is refused at the limit, and the node's memory grows by less than 64 MB."""
    bomb = gzip.compress(b'{"user":"' + b"x" * (200 * MIB) + b'"}')
    before = resident(place.node.process.pid)
    for packed in (bomb, gzip.compress(bomb)):
        answer = post(place, packed, **{"Content-Encoding": "gzip"})
        assert answer.status_code in (400, 413)
    assert resident(place.node.process.pid) - before < 64_000_000


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"{}"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
        ("gzip", b"{}"),
        ("gzip", gzip.compress(b'{"user":"bob"}')[:-4]),
        ("gzip", gzip.compress(b'{"user":"bob"}') + b"more"),
    ],
)
def test_what_is_packed_otherwise_is_refused(place, coding, body):
    """400 for other codings, for two at once, for what is cut off or goes on behind its end."""
    assert post(place, body, **{"Content-Encoding": coding}).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_says_it_is_something_else_is_refused(place, kind):
    """400 for media types that a page of another site may send without asking."""
    assert post(place, b'{"user":"bob"}', **{"Content-Type": kind}).status_code == 400


def test_long_headers_are_refused(place):
    """431 for more header fields than the limit."""
    answer = place.client.get("/v1/me", headers={"X-Padding": "x" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (431, "too-large")


@pytest.fixture(scope="module")
def tight(tmp_path_factory):
    """A node with little patience, for callers of its own."""
    folder = tmp_path_factory.mktemp("tight")
    settings = "[server]\nrate = 0.5\nburst = 60\nbody_seconds = 0.3\nmax_body = 12000000\n"
    node = Node(folder, migrate(f"sqlite:///{folder}/shop.db"), settings=settings)
    try:
        yield node.start()
    finally:
        node.kill()


def test_a_higher_limit_holds_too(tight):
    """A body within `max_body` is read to its end and judged by what it says, however long that is."""
    with tight.client(token(tight.url, "long", "client")) as http:
        body = {"user": "x" * 11_000_000, "sku": "mug"}
        answer = http.post("/v1/types/redeem/processes", json=body, headers={"Idempotency-Key": "long"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-key")


def test_one_token_cannot_take_everything(tight):
    """429 with Retry-After past the burst; another token is not held up."""
    node = tight
    greedy_token, other_token = token(node.url, "greedy", "viewer"), token(node.url, "other", "viewer")
    with node.client(greedy_token) as greedy, node.client(other_token) as other:
        answers = [greedy.get("/v1/me") for _ in range(70)]
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "rate-limited"
        assert int(refused.headers["retry-after"]) >= 1
        assert other.get("/v1/me").status_code == 200


def test_guessing_tokens_is_held_up(tight):
    """Past a burst of wrong tokens an address gets 429, whatever it guesses."""
    node = tight
    with node.client("tieout_000000000000_" + "0" * 64) as http:
        statuses = [http.get("/v1/me").status_code for _ in range(80)]
    assert set(statuses) == {401, 429}


def test_a_body_that_does_not_come_is_not_waited_for(tight):
    """A request that sends its body slower than the limit is answered and done with; others are not held up."""
    node = tight
    text = token(node.url, "slow", "client")
    head = (
        "POST /v1/types/redeem/processes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {text}\r\nIdempotency-Key: slow\r\nContent-Length: 100\r\n\r\n"
    )
    slow = []
    try:
        for _ in range(50):
            one = socket.create_connection(("127.0.0.1", node.port), PATIENCE)
            one.sendall(head.encode() + b'{"user"')
            slow.append(one)
        with node.client() as http:
            assert http.get("/healthz").status_code == 200
        for one in slow:
            assert one.recv(64).startswith(b"HTTP/1.1 400")
    finally:
        for one in slow:
            one.close()


@pytest.mark.parametrize("path", ["/v1/report", "/v1//report", "//v1/report", "/v1/report/"])
def test_a_body_is_not_waited_for_however_its_path_is_written(tight, path):
    """Whoever has no token cannot hold a connection by slashes that the router leaves out."""
    head = f"POST {path}/{'0' * 32}:1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", tight.port), 10) as slow:
        slow.sendall(head.encode() + b"{")
        assert b"took longer" in slow.recv(4_096)


def test_a_nul_is_refused(place):
    """400 in an address and in what a person says: not every database stores one."""
    assert place.admin.get("/v1/processes?type=%00").json()["code"] == "invalid-request"
    for body in ({"filter": {"note": "\0"}, "reason": "x"}, {"reason": "x\0"}):
        answer = place.admin.post("/v1/bulk", json={"command": "retry", **body})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


def test_made_up_methods_are_counted_as_one(place):
    """Anybody can send them: metrics do not keep each."""
    for number in range(20):
        place.nobody.request(f"MADE-UP-{number}", "/healthz")
    told = place.admin.get("/metrics").text
    assert "MADE-UP" not in told and 'method="other",route="unknown",status="405"} 20.0' in told


def test_every_answer_has_the_headers_that_browsers_heed(place):
    """Nothing is sniffed, framed, cached or referred; the id of a request is told, and taken over if it is one."""
    for path in ("/v1/me", "/nope", "/v1/docs", "/healthz"):
        answer = place.client.get(path, headers={"X-Request-Id": "mine-1"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"] == "mine-1"
    assert place.client.get("/v1/me", headers={"X-Request-Id": "<script>"}).headers["x-request-id"] != "<script>"
    assert place.client.get("/v1/me").headers["cache-control"] == "no-store"
