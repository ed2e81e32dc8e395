"""The Idempotency-Key header, after the IETF's draft, over plain WSGI: the rules are those of ASGI."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tieout
from tests.once.web import Client, Reply, Service
from tests.once.wsgi_web import Parts, Till, call, environ_of, give, reply
from tieout import Absent, HttpRules, blocking, current_tx
from tieout.once.asgi import IdempotencyMiddleware as AsgiMiddleware
from tieout.once.wsgi import IdempotencyMiddleware


def test_a_repetition_gets_the_first_response(till: Till) -> None:
    """Status, headers and body are those of the first time, marked as a replay; the route is not run again."""
    client, service = till.serve()
    first, again = client.send('"k1"'), client.send('"k1"')
    assert (first.status, first.json, first.replayed) == (201, {"code": "mug-1"}, False)
    assert (again.status, again.body, again.replayed) == (201, first.body, True)
    assert again.headers == first.headers | {"idempotency-replayed": "true"}
    assert (service.runs, till.effects, till.answers) == (1, 1, 1)


def test_another_process_gives_the_same_response(till: Till) -> None:
    """The response is in the database: another process, which never saw the first request, gives it too."""
    (one, _), (other, service) = till.serve(), till.serve()
    first, again = one.send("k1"), other.send("k1")
    assert (again.body, again.replayed, service.runs) == (first.body, True, 0)


async def test_asgi_and_wsgi_give_each_others_answers(tmp_path: Any) -> None:
    """A service that moves from one to the other keeps its keys: the same request is the same on both."""
    till = Till(f"sqlite:///{tmp_path}/once.db")
    till.prepare()
    path = "/prizes/\u00e9 1"
    client, _ = till.serve()
    first = client.send("k1", path=path.encode().decode("latin-1"), QUERY_STRING="a=%20b")
    async with tieout.App(till.url, sweep=False) as app:
        other = Client(AsgiMiddleware(Service(), once=app.http_once(owner=None)))
        again = await other.send("k1", path=path, query=b"a=%20b")
        assert (again.status, again.body, again.replayed) == (201, first.body, True)
        assert (await other.send("k2", {"sku": "pen"}, path=path)).status == 201
    there = client.send("k2", {"sku": "pen"}, path=path.encode().decode("latin-1"))
    assert (there.status, there.replayed, there.headers["content-type"]) == (201, True, "application/json")
    till.close()


def test_the_codes_of_the_draft(till: Till) -> None:
    """400 without a key or with two, 422 for a key of another request, each as a problem with its code."""
    client, service = till.serve()
    for key in (None, "", "a, b", "a b"):
        refused = client.send(key)
        assert (refused.status, refused.code) == (400, "invalid-key"), key
    client.send("k1")
    changed = client.send("k1", {"sku": "pen"})
    assert (changed.status, changed.code) == (422, "params-changed")
    assert (service.runs, till.effects) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PATCH"},
        {"path": "/prize"},
        {"QUERY_STRING": "x=1"},
        {"data": b'{"sku":"mug"}'},
        {"SCRIPT_NAME": "/b"},
    ],
)
def test_every_part_of_a_request_counts(till: Till, change: dict) -> None:
    """The same key with another method, path, query, body or mount is another request."""
    client, _ = till.serve()
    client.send("k1")
    assert client.send("k1", **change).code == "params-changed"


def test_a_duplicate_is_told_to_wait(till: Till) -> None:
    """While a request is at work its duplicate gets 409, and when to come again; then it gets the answer."""
    entered, gate = threading.Event(), threading.Event()

    def slow(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        entered.set()
        assert gate.wait(10)
        return reply(start_response, service.runs)

    client, service = till.serve(slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.send, "k1")
        assert entered.wait(10)
        refused = client.send("k1")
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (409, "in-flight", "1")
        gate.set()
        assert first.result().json == 1
    assert (client.send("k1").replayed, service.runs, till.effects) == (True, 1, 1)


def test_duplicates_at_once_have_one_effect(till: Till) -> None:
    """Many requests with one key in as many threads: one effect, one response for all."""
    client, _ = till.serve(wait="20s")
    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(lambda _: client.send("k1"), range(24)))
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert [reply.replayed for reply in replies].count(False) == 1
    assert till.effects == 1


def test_keys_belong_to_their_owner(till: Till) -> None:
    """The owner is named from the environ; a query by key finds the owner's answer only."""
    client, _ = till.serve(owner=lambda environ: environ.get("HTTP_X_ACCOUNT", ""))
    mine = client.send("k1", HTTP_X_ACCOUNT="mall")
    theirs = client.send("k1", {"sku": "pen"}, HTTP_X_ACCOUNT="shop")
    assert (mine.replayed, theirs.replayed, theirs.json) == (False, False, {"code": "pen-2"})
    plain = blocking.HttpOnce(client.once)
    assert plain.find("k1", owner="shop").value.body == theirs.body
    assert plain.find("k1") == Absent()


def test_a_refusal_is_given_again_and_has_changed_nothing(till: Till) -> None:
    """A 4xx rolls back what its route wrote, is kept alone, and is given again though the reason may have gone."""

    def refuse(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        return reply(start_response, "sold out", "409 Conflict" if service.runs == 1 else "200 OK")

    client, service = till.serve(refuse)
    assert [((answer := client.send("k1")).status, answer.replayed) for _ in range(2)] == [(409, False), (409, True)]
    assert (service.runs, till.effects, till.answers) == (1, 0, 1)
    assert (client.send("k2").status, till.effects) == (200, 1)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_passing_failure_is_not_kept(till: Till, status: int) -> None:
    """A server error, or a refusal that is not about the request, rolls back and is forgotten: the retry is run."""

    def fail_first(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        return reply(start_response, "no", f"{status} No" if service.runs == 1 else "200 OK")

    client, _ = till.serve(fail_first)
    assert client.send("k1").status == status
    assert (till.effects, till.answers) == (0, 0)
    again = client.send("k1")
    assert (again.status, again.replayed, till.effects) == (200, False, 1)


def test_only_what_is_covered_needs_a_key(till: Till) -> None:
    """Other methods and paths go through with the very environ of the server, key or not; there is no transaction."""
    seen: list[Any] = []

    def look(service: Any, environ: Any, start_response: Any) -> Any:
        seen.append(environ)
        with pytest.raises(tieout.NotAllowed, match="in no transaction"):
            current_tx()
        return reply(start_response, 1)

    client, service = till.serve(look, paths=("/prizes*", "/gifts/*/send"), methods={"post"})
    for change in ({"method": "GET"}, {"path": "/other"}, {"path": "/gifts/1"}, {"path": ""}):
        assert [client.send(key, **change).status for key in ("k1", None)] == [200, 200]
    for path in ("/prizes", "/gifts/1/send"):
        assert client.send(None, path=path).status == 400
    assert client.send(None, path="/1/send", SCRIPT_NAME="/gifts").status == 400
    environ = environ_of("GET", "/", b"")
    client.app(environ, lambda *_: None)
    assert seen[-1] is environ
    assert (service.runs, till.answers) == (9, 0)


def test_a_key_may_be_optional(till: Till) -> None:
    """Where it is not required a request without a key goes through unprotected, and one with a key is protected."""

    def maybe(service: Any, environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        return reply(start_response, {"protected": "tieout.tx" in environ, "body": body})

    client, _ = till.serve(maybe, required=False)
    assert [client.send(None, 7).json for _ in range(2)] == [{"protected": False, "body": "7"}] * 2
    assert client.send("k1", 7).json == {"protected": True, "body": "7"}
    assert client.send("k1", 7).replayed


def test_what_comes_after_the_answer_comes_after_the_commit(till: Till) -> None:
    """`close()` is called once, after the commit, outside of the transaction, and not for a replay."""

    def route(service: Any, environ: Any, start_response: Any) -> Any:
        give()
        tx = current_tx(blocking.Transaction)

        def close() -> None:
            service.closed.append(till.effects)
            with pytest.raises(tieout.NotAllowed):
                current_tx()
            with pytest.raises(tieout.StatementError, match="has ended"):
                tx.execute("DELETE FROM prize")

        return Parts(reply(start_response, 1), close)

    client, service = till.serve(route)
    client.send("k1")
    assert (client.send("k1").replayed, service.closed, till.effects) == (True, [1], 1)


def test_a_process_starts_in_the_route(till: Till) -> None:
    """A process that joins the transaction of a route commits with its answer, or not at all."""
    app = till.open(sweep=False)
    app.register(Receipt)
    statuses = iter(["503 Later", "200 OK"])

    def route(environ: Any, start_response: Any) -> Any:
        process = app.start(Receipt(number="n1"), tx=current_tx(blocking.Transaction))
        return reply(start_response, process.id, next(statuses))

    middleware = IdempotencyMiddleware(route, once=app.http_once(owner=None))

    def send() -> Reply:
        return call(middleware, environ_of("POST", "/", b"") | {"HTTP_IDEMPOTENCY_KEY": "k1"})

    assert (send().status, till.count("tieout_process")) == (503, 0)
    first, again = send(), send()
    assert (first.status, again.body, again.replayed, till.count("tieout_process")) == (200, first.body, True, 1)
    assert app.get(first.json).state == "done"
    till.run("DELETE FROM tieout_process")


class Receipt(tieout.Process[Any], name="receipt", key="number"):
    """The shortest process."""

    number: str
    done = tieout.Final[str]()

    @tieout.start(to="done")
    def begin(self, tx: blocking.Transaction) -> tieout.Next:
        return self.done("printed")


def test_each_middleware_takes_what_is_its_own(tmp_path: Any) -> None:
    """What the App of one colour made is refused by the middleware of the other, at once."""
    plain, looped = blocking.App("sqlite://"), tieout.App("sqlite://")
    with pytest.raises(tieout.UsageError, match=r"tieout\.once\.asgi"):
        IdempotencyMiddleware(lambda *_: [], once=looped.http_once(owner=None))  # type: ignore[arg-type]  # it is wrong
    with pytest.raises(tieout.UsageError, match=r"tieout\.once\.wsgi"):
        AsgiMiddleware(None, once=plain.http_once(owner=None))  # type: ignore[arg-type]  # it is wrong
    with pytest.raises(tieout.DefinitionError, match="scope"):
        plain.http_once(owner=None)
    assert plain.http_once(owner=None, scope="b", rules=HttpRules(max_request=7)).rules.max_request == 7
