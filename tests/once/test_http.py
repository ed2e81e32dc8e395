"""The Idempotency-Key header, after the IETF's draft, over plain ASGI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tieout
from tests.once.faults import Doomed, Hurried
from tests.once.place import Place, answers, effects, give, rows
from tests.once.web import Client, Service, body_of, reply
from tests.process.cipher import Cipher
from tieout import Absent, HttpAnswer, HttpRules, InFlight, current_tx
from tieout.database.retrying import TRIES
from tieout.once.asgi import IdempotencyMiddleware


async def served(
    place: Place, service: Any = None, owner: Any = None, codec: Any = None, **rules: Any
) -> tuple[Client, Any]:
    """A client of a service behind the middleware, on an App of its own; and the service."""
    app = await place.open(codec=codec)
    service = service or Service()
    client = Client(IdempotencyMiddleware(service, once=app.http_once(owner=owner, rules=HttpRules(**rules))))
    client.once = client.app.once
    return client, service


async def test_a_repetition_gets_the_first_response(place: Place) -> None:
    """Status, headers and body are those of the first time, marked as a replay; the route is not run again."""
    client, service = await served(place)
    first, again = await client.send('"k1"'), await client.send('"k1"')
    assert (first.status, first.json, first.replayed) == (201, {"code": "mug-1"}, False)
    assert (again.status, again.body, again.replayed) == (201, first.body, True)
    assert again.headers == first.headers | {"idempotency-replayed": "true"}
    assert (service.runs, await effects(place.apps[0]), await answers(place.apps[0])) == (1, 1, 1)


async def test_a_response_is_written_by_the_codec(place: Place) -> None:
    """Its body cannot be read in the table; who repeats the request is given it as it was."""
    client, _ = await served(place, codec=Cipher())
    first, again = await client.send("k1"), await client.send("k1")
    ((headers, body),) = await rows(place.apps[0], "SELECT headers, body FROM tieout_once")
    assert (headers[:2], bytes(body)) == ("~[", Cipher().encode(first.body))
    assert (again.status, again.body, again.replayed) == (201, first.body, True)


async def test_another_process_gives_the_same_response(place: Place) -> None:
    """The response is in the database: another process, which never saw the first request, gives it too."""
    one, _ = await served(place)
    other, service = await served(place)
    first, again = await one.send("k1"), await other.send("k1")
    assert (again.body, again.replayed, service.runs) == (first.body, True, 0)


async def test_the_codes_of_the_draft(place: Place) -> None:
    """400 without a key, 422 for a key of another request, each as a problem with its code; nothing is done."""
    client, service = await served(place)
    missing = await client.send(None)
    assert (missing.status, missing.code) == (400, "invalid-key")
    assert "Idempotency-Key" in missing.json["detail"]
    await client.send("k1")
    changed = await client.send("k1", {"sku": "pen"})
    assert (changed.status, changed.code) == (422, "params-changed")
    assert (service.runs, await effects(place.apps[0])) == (1, 1)


@pytest.mark.parametrize(
    "change", [{"method": "PATCH"}, {"path": "/prize"}, {"query": b"x=1"}, {"body": {"sku": "mug", "quantity": 1}}]
)
async def test_every_part_of_a_request_counts(place: Place, change: dict) -> None:
    """The same key with another method, path, query or body is another request."""
    client, _ = await served(place)
    await client.send("k1", query=b"x=0")
    assert (await client.send("k1", **({"query": b"x=0"} | change))).status == 422
    assert (await client.send("k1", query=b"x=0")).replayed


async def test_a_request_at_work_is_a_409(served_place: Place) -> None:
    """While the first is at work, a duplicate is told so at once and when to come again; so is a query."""
    go, entered = asyncio.Event(), asyncio.Event()

    async def slow(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(scope["tieout.tx"], "", "mug", 1)
        entered.set()
        await go.wait()
        await reply(send, "done")

    client, _ = await served(served_place, Service(slow))
    other, _ = await served(served_place)
    first = asyncio.create_task(client.send("k1"))
    await entered.wait()
    for duplicate in (await client.send("k1"), await other.send("k1")):
        assert (duplicate.status, duplicate.code, duplicate.headers["retry-after"]) == (409, "in-flight", "1")
    assert await other.once.find("k1") == InFlight()
    go.set()
    assert (await first).json == "done"
    assert (await client.send("k1")).replayed
    found = await other.once.find("k1")
    assert found.value == HttpAnswer(200, (("Content-Type", "application/json"), ("content-length", "6")), b'"done"')
    assert await other.once.find("k2") == Absent()


async def test_a_hundred_duplicates_have_one_effect(place: Place) -> None:
    """Of 100 requests at once that may wait, one runs its route; all get the same response."""
    client, service = await served(place, wait="10s")
    replies = await asyncio.gather(*(client.send("k1") for _ in range(100)))
    assert {(answer.status, answer.body) for answer in replies} == {(201, b'{"code": "mug-1"}')}
    assert sum(answer.replayed for answer in replies) == 99
    assert (service.runs, await effects(place.apps[0])) == (1, 1)


async def test_owners_cannot_see_each_other(place: Place) -> None:
    """The caller is part of the key: nobody is given another caller's response, or kept from using a key."""
    client, _ = await served(place, owner=lambda scope: scope["state"]["account"])
    mine = await client.send("k1", state={"account": "mall"})
    theirs = await client.send("k1", {"sku": "pen"}, state={"account": "shop"})
    assert (mine.replayed, theirs.replayed, theirs.json) == (False, False, {"code": "pen-2"})
    assert (await client.send("k1", state={"account": "mall"})).body == mine.body
    assert (await client.once.find("k1", owner="shop")).value.body == theirs.body
    assert await client.once.find("k1") == Absent()


async def test_a_refusal_is_given_again_and_has_changed_nothing(place: Place) -> None:
    """A 4xx rolls back what its route wrote, is kept alone, and is given again though the reason may have gone."""

    async def refuse(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await reply(send, "sold out", 409 if service.runs == 1 else 200)

    client, service = await served(place, Service(refuse))
    assert [((answer := await client.send("k1")).status, answer.replayed) for _ in range(2)] == [
        (409, False),
        (409, True),
    ]
    assert (service.runs, await effects(place.apps[0]), await answers(place.apps[0])) == (1, 0, 1)
    assert (await client.send("k2")).status == 200
    assert await effects(place.apps[0]) == 1


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 503])
async def test_a_passing_failure_is_not_kept(place: Place, status: int) -> None:
    """A server error, or a refusal that is not about the request, rolls back and is forgotten: the retry is run."""

    async def fail_first(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await reply(send, "no", status if service.runs == 1 else 200)

    client, _ = await served(place, Service(fail_first))
    assert (await client.send("k1")).status == status
    assert (await effects(place.apps[0]), await answers(place.apps[0])) == (0, 0)
    again = await client.send("k1")
    assert (again.status, again.replayed, await effects(place.apps[0])) == (200, False, 1)


async def test_what_a_route_raises_is_its_servers(place: Place) -> None:
    """An exception rolls back, reaches the server as it is, and keeps nothing."""

    async def fail(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        raise tieout.Refused("as the route says") if service.runs == 2 else ZeroDivisionError

    client, _ = await served(place, Service(fail))
    for error in (ZeroDivisionError, tieout.Refused):
        with pytest.raises(error):
            await client.send("k1")
        assert (await effects(place.apps[0]), await answers(place.apps[0])) == (0, 0)


async def test_a_route_without_a_whole_answer_fails(place: Place) -> None:
    """An application that ends without an answer, or in the middle of one, has failed."""

    async def half(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    client, _ = await served(place, Service(half))
    with pytest.raises(tieout.UsageError, match="without a whole answer"):
        await client.send("k1")
    assert await answers(place.apps[0]) == 0


async def test_a_response_in_parts_is_kept_whole(place: Place) -> None:
    """A response that comes in several parts is collected, and sent once it is committed."""

    async def parts(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"\xe9"), (b"x-a", b"2")]})
        for part in (b"\xff", b"", b"\x00", b"z"):
            await send({"type": "http.response.body", "body": part, "more_body": part != b"z"})

    client, _ = await served(place, Service(parts))
    app = client.app
    for _ in range(2):
        sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"idempotency-key", b"k1")]}

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert [field for field in sent[0]["headers"] if field[0] == b"x-a"] == [(b"x-a", b"\xe9"), (b"x-a", b"2")]
        assert sent[1]["body"] == b"\xff\x00z"


async def test_cookies_are_not_kept(place: Place) -> None:
    """What belongs to one exchange, or may open a session, is sent the first time only."""

    async def cookie(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await reply(send, 1, 200, (b"Set-Cookie", b"session=secret"), (b"Date", b"now"), (b"Location", b"/prizes/1"))

    client, _ = await served(place, Service(cookie))
    first, again = await client.send("k1"), await client.send("k1")
    assert {"set-cookie", "date", "location"} <= first.headers.keys()
    assert again.headers.keys() & {"set-cookie", "date", "location"} == {"location"}
    assert "secret" not in str(await rows(place.apps[0], "SELECT headers FROM tieout_once"))


async def test_only_what_is_covered_needs_a_key(place: Place) -> None:
    """Other methods and paths go through untouched, key or not, and so do other protocols; there is no transaction."""
    seen: list[Any] = []

    async def look(service: Service, scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        with pytest.raises(tieout.NotAllowed, match="in no transaction"):
            current_tx()
        if scope["type"] == "http":
            await reply(send, 1)

    client, service = await served(place, Service(look), paths=("/prizes*", "/gifts/*/send"), methods={"post"})
    for change in ({"method": "GET"}, {"path": "/other"}, {"path": "/gifts/1"}, {"path": "/Prizes"}):
        assert (await client.send("k1", **change)).status == 200
        assert (await client.send(None, **change)).status == 200
    for path in ("/prizes", "/prizes/1/2", "/gifts/1/send"):
        assert (await client.send(None, path=path)).status == 400
    await client.app({"type": "lifespan"}, None, None)
    assert (seen[-1], service.runs, await answers(place.apps[0])) == ("lifespan", 9, 0)


async def test_a_key_may_be_optional(place: Place) -> None:
    """Where it is not required a request without a key goes through unprotected, and one with a key is protected."""

    async def maybe(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await reply(send, {"protected": "tieout.tx" in scope, "body": (await body_of(receive)).decode()})

    client, _ = await served(place, Service(maybe), required=False)
    assert [(await client.send(None, 7)).json for _ in range(2)] == [{"protected": False, "body": "7"}] * 2
    assert (await client.send("k1", 7)).json == {"protected": True, "body": "7"}
    assert (await client.send("k1", 7)).replayed


async def test_a_long_request_is_refused(place: Place) -> None:
    """A body over the limit is refused, before it is read when its length is stated; one at the limit is not."""
    client, service = await served(place, Service(None), max_request=14)
    assert (await client.send("k1", {"sku": "mug"})).status == 201
    for given in ({"chunks": [b"x" * 15]}, {"chunks": [b"x" * 10, b"x" * 10]}):
        refused = await client.send("k2", **given)
        assert (refused.status, refused.code) == (413, "too-large")
    stated = ((b"content-length", b"15"),)
    assert (await client.send("k2", headers=stated, gone=True, chunks=[])).status == 413
    assert service.runs == 1


async def test_a_long_request_may_go_through_unprotected(place: Place) -> None:
    """With `oversize="pass"` it reaches the route whole, in no transaction, and is not remembered."""

    async def echo(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await reply(send, ["tieout.tx" in scope, len(await body_of(receive))])

    client, service = await served(place, Service(echo), max_request=14, oversize="pass")
    for _ in range(2):
        assert (await client.send("k1", chunks=[b"x" * 10] * 3)).json == [False, 30]
        stated = ((b"content-length", b"30"),)
        assert (await client.send("k1", headers=stated, chunks=[b"x" * 10] * 3)).json == [False, 30]
    assert (service.runs, await answers(place.apps[0])) == (4, 0)


async def test_a_long_answer_is_rolled_back(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that is too long to be kept, or never ends, is a clear error of the service, and changes nothing."""

    async def stream(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})

    client, _ = await served(place, Service(stream), max_answer=1_000)
    refused = await client.send("k1")
    assert (refused.status, refused.code) == (500, "unrepeatable")
    assert "longer than 1000 bytes" in caplog.text
    assert (await effects(place.apps[0]), await answers(place.apps[0])) == (0, 0)


async def test_a_route_has_an_end(place: Place) -> None:
    """A route that takes too long is ended and rolled back; the caller may try again."""
    ended: list[str] = []

    async def hang(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    client, _ = await served(place, Service(hang), max_seconds=0.05)
    refused = await client.send("k1")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert (ended, await effects(place.apps[0])) == (["ended"], 0)


async def test_a_client_that_goes_before_its_request_is_whole_is_let_go(place: Place) -> None:
    """Nothing is run for half a request."""
    client, service = await served(place)
    assert (await client.send("k1", chunks=[b'{"sku"'], gone=True)).status == 0
    assert service.runs == 0


async def test_what_comes_after_the_answer_comes_after_the_commit(place: Place) -> None:
    """Background work runs once the effect is committed, outside of the transaction, and not for a replay."""
    done: list[int] = []

    async def background(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await reply(send, 1)
        done.append(await effects(place.apps[0]))
        with pytest.raises(tieout.StatementError, match="has ended"):
            await give(current_tx(), "", "mug", 1)

    client, _ = await served(place, Service(background))
    await client.send("k1")
    await client.send("k1")
    assert (done, await effects(place.apps[0])) == ([1], 1)


async def test_an_answer_is_sent_only_once_it_is_committed(place: Place) -> None:
    """A commit that fails is a 503, whatever the route said; what would come after its answer does not come."""
    after: list[str] = []

    async def route(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await reply(send, "done")
        after.append("told")

    client, service = await served(place, Service(route))
    engine = client.once._engine  # noqa: SLF001 - the one place where its commits can be made to fail
    working, engine.database, engine.clock = engine.database, Doomed(engine.database), Hurried()
    failed = await client.send("k1")
    assert (failed.status, failed.code) == (503, "database-unavailable")
    assert (service.runs, after, await effects(place.apps[0])) == (TRIES, [], 0)
    engine.database = working
    assert ((await client.send("k1")).json, after) == ("done", ["told"])


async def test_a_transaction_that_must_be_repeated_is(place: Place) -> None:
    """A deadlock that the route raises is followed by another run of it, in a fresh transaction and scope."""

    async def unlucky(service: Service, scope: Any, receive: Any, send: Any) -> None:
        assert "marked" not in scope
        scope["marked"] = True
        assert await body_of(receive) == b'{"sku": "mug"}'
        await give(current_tx(), "", "mug", 1)
        if service.runs == 1:
            raise tieout.RetryTransaction("deadlock")
        await reply(send, service.runs)

    client, _ = await served(place, Service(unlucky))
    assert (await client.send("k1")).json == 2
    assert await effects(place.apps[0]) == 1


async def test_problems_name_their_documentation(sqlite_place: Place) -> None:
    """With an address the type of a problem leads to the explanation of its code."""
    client, _ = await served(sqlite_place, documentation="https://api.example/errors")
    assert (await client.send(None)).json["type"] == "https://api.example/errors#invalid-key"
    plain, _ = await served(sqlite_place)
    assert (await plain.send(None)).json["type"] == "about:blank"


@pytest.mark.parametrize("paths", ["/prizes*", ("prizes",), (7,)])
async def test_patterns_of_paths_are_checked(paths: Any) -> None:
    """A string instead of a tuple, or a pattern that can match no path, is refused at once."""
    with pytest.raises(tieout.DefinitionError, match="paths"):
        tieout.App("sqlite://").http_once(owner=None, rules=HttpRules(paths=paths))
