"""The mall answers every request, however bad, with the status and the stable code that say what to do next."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from tests.demo.conftest import SIGNING, Caller, Mall, prizes
from tieout.demo.services import Service, free_ports

ORDER = {"request_id": "r1", "user": "user-00001", "sku": "mug", "quantity": 2}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["by-hand", "once"])
async def both(request, tmp_path_factory):
    """Both services, one pair for all tests of each edition of the prize service."""
    folder = tmp_path_factory.mktemp("services")
    port, api_port = free_ports(2)
    prize_service = prizes(folder, request.param, "http://127.0.0.1:1/callback")
    program = ["-m", "tieout.demo.points.mall", "--db", f"sqlite:///{folder}/mall.db"]
    arguments = [*program, "--port", str(port), "--api-port", str(api_port), "--prizes", prize_service.url, "--tied"]
    service = Service("mall", arguments, port, folder / "mall.log", environment=SIGNING)
    await service.run_once([*program, "--open-accounts", str(USERS)])
    await asyncio.gather(prize_service.start(), service.start())
    async with ClientSession(timeout=ClientTimeout(total=60)) as http:
        yield Mall(service, http, api_port), Caller(prize_service, http)
    await asyncio.gather(prize_service.stop(), service.stop())


USERS = 200
RICH = (number for number in itertools.count(1) if number % 10)
"""Numbers of users who have many points: each test has one of its own."""


@pytest.fixture
def mall(both):
    both[0].user = f"user-{next(RICH):05}"
    return both[0]


@pytest.fixture
def shop(both):
    return both[1]


async def redeem(mall: Mall, **changed: object) -> tuple[int, dict[str, object]]:
    """Redeem as this test's user, of whom nobody else has asked for anything."""
    status, text = await mall.post("/redeem", ORDER | {"user": mall.user} | changed)
    return status, json.loads(text)


async def final(mall: Mall, process: str) -> dict[str, object]:
    """The process once it is final."""
    for _ in range(600):
        status, told = await mall.get(f"/redeem/{process}")
        if status == 200:
            return told
        await asyncio.sleep(0.1)
    pytest.fail("it never came to an end")


async def test_a_request_and_its_repetition(mall):
    """The first gets its prize, the repetition gets the same, and so does a look by id."""
    status, first = await redeem(mall)
    assert (status, first["state"], first["status"], first["replayed"]) == (200, "completed", "final", False)
    assert first["result"]["sku"] == "mug" and first["result"]["quantity"] == 2
    assert await redeem(mall) == (200, {**first, "replayed": True})
    assert await mall.get(f"/redeem/{first['id']}") == (200, first)


async def test_the_same_key_with_other_params(mall):
    """A repetition that changes something is refused, naming what; another user's same key is another request."""
    _, first = await redeem(mall)
    status, told = await redeem(mall, quantity=3)
    assert (status, told["code"]) == (409, "params-changed") and "quantity" in told["detail"]
    status, other = await redeem(mall, user=f"user-{next(RICH):05}")
    assert status == 200 and other["id"] != first["id"]


async def test_refused_and_nothing_is_kept(mall):
    """Too few points, an unknown prize or user: 422, and the same key may be used again."""
    for changed in ({"user": "user-00010", "sku": "bicycle"}, {"sku": "castle"}, {"user": "nobody"}):
        status, told = await redeem(mall, **changed)
        assert (status, told["code"]) == (422, "refused"), changed
    assert (await redeem(mall))[0] == 200


async def test_bodies_that_are_no_order(mall):
    """What is not one JSON object with exactly the fields of an order is answered 400, or 413 when it is huge."""
    order = b'{"request_id": "r1", "user": "user-00001", "sku": "mug", "quantity": %s}'
    wrong = [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"request_id": "r1"}', b"[" * 10_000]
    wrong += [order % value for value in (b"NaN", b'1, "quantity": 2', b'1, "price": 1', b"1e400", b"9" * 5_000)]
    for body in wrong:
        status, told = await mall.send("/redeem", body)
        assert (status, told["code"]) == (400, "invalid-params"), body[:80]
    assert (await mall.send("/redeem", b" " * 100_000))[0] == 413


async def test_fields_that_make_no_sense(mall):
    """Wrong types, impossible quantities, and keys that no database could keep are answered 400 with their code."""
    for changed in ({"quantity": "2"}, {"quantity": 0}, {"quantity": 101}, {"quantity": True}, {"quantity": 1.5}):
        status, told = await redeem(mall, **changed)
        assert (status, told["code"]) == (400, "invalid-params"), changed
    for changed in ({"user": ""}, {"user": "User 1"}, {"user": "a\x00"}, {"user": "a\n"}, {"sku": None}):
        status, told = await redeem(mall, **changed)
        assert (status, told["code"]) == (400, "invalid-params"), changed
    for key in ("", "k" * 256, "\u00e9" * 128):
        status, told = await redeem(mall, request_id=key)
        assert (status, told["code"]) == (400, "invalid-key"), key


async def test_keys_are_bytes(mall):
    """Keys that differ in case, accents, blanks or a NUL are different requests."""
    keys = ["r", "R", "r ", " r", "r\x00", "\u00e9", "e\u0301", "k" * 255]
    answers = [await redeem(mall, request_id=key) for key in keys]
    assert [status for status, _ in answers] == [200] * len(keys)
    assert len({told["id"] for _, told in answers}) == len(keys)


async def test_looking_for_nothing(mall):
    """An id that no process has, or that is none, is answered 404."""
    for process in ("0" * 32, "xyz", "%00"):
        status, told = await mall.get(f"/redeem/{process}")
        assert (status, told["code"]) == (404, "unknown-process"), process


async def test_calls_back_for_unknown_calls(mall):
    """A call back that comes too early, or is forged, is to be repeated later and settles nothing."""
    _, first = await redeem(mall)
    for key in (f"{'0' * 32}:1", f"{first['id']}:2"):
        status, told = await mall.report(key, {"call_key": key, "outcome": "failed", "code": "forged"})
        assert (status, told["code"]) == (404, "unknown-call"), key
    claim = {"call_key": f"{first['id']}:1", "outcome": "failed", "code": "forged"}
    other = "whsec_" + "c29tZWJvZHktZWxzZS1zLWtleS10aGF0LWRvZXMtbm90Lg=="
    assert (await mall.report(claim["call_key"], claim, secret=other))[0] == 401
    assert await mall.get(f"/redeem/{first['id']}") == (200, first)


async def test_calls_back_that_make_no_sense(mall):
    """A call back without a key, or with a status that nobody knows, is refused and settles nothing."""
    _, first = await redeem(mall)
    key = f"{first['id']}:1"
    for body in ({}, [], {"call_key": 1}, {"call_key": key}, {"call_key": key, "outcome": "almost"}):
        status, told = await mall.report(key, body)
        assert (status, told["code"]) == (422, "invalid-params"), body
    twice = b'{"call_key": "%s", "outcome": "succeeded", "outcome": "failed", "code": "x"}' % key.encode()
    assert (await mall.report(key, twice))[0] == 400
    assert await mall.get(f"/redeem/{first['id']}") == (200, first)


async def test_a_call_back_repeated_after_the_end(mall):
    """The same final again is acknowledged and changes nothing."""
    _, first = await redeem(mall)
    told = {"call_key": f"{first['id']}:1", "outcome": "succeeded", "value": first["result"]}
    for _ in range(2):
        assert (await mall.report(told["call_key"], told))[1] == {"effect": "duplicate", "replayed": False}
    assert await mall.get(f"/redeem/{first['id']}") == (200, first)


async def test_accepted_while_the_prize_service_is_away(mall, shop):
    """A request is accepted without the prize service, survives the mall's own death, and ends when both are back."""
    before = (await shop.get("/status"))[1]["prizes"]
    await shop.service.stop()
    status, told = await redeem(mall)
    assert (status, told["status"]) == (202, "running")
    await mall.service.kill()
    await shop.service.start()
    await mall.service.start()
    assert (await final(mall, told["id"]))["state"] == "completed"
    assert (await shop.get("/status"))[1]["prizes"] == before + 1
