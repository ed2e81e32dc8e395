"""The prize service fails as it was told to, and its contradictions are told until they are acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from aiohttp import ClientError

from tests.demo.conftest import until

ORDER = {"sku": "mug", "quantity": 2}


async def test_the_same_key_gets_the_same_prize(shop):
    """A key is issued once, is found by query, and is refused for another order; an unknown key is not found."""
    status, first = await shop.issue("a:1")
    assert (status, first["status"]) == (200, "SUCCEEDED")
    assert await shop.issue("a:1") == (200, first)
    assert await shop.get("/prizes/a:1") == (200, first)
    assert (await shop.post("/prizes", {"key": "a:1", "sku": "mug", "quantity": 3}))[0] == 409
    assert await shop.get("/prizes/b:1") == (404, {"key": "b:1", "status": "NOT_FOUND"})
    assert (await shop.get("/status"))[1]["prizes"] == 1


async def test_duplicates_at_once_get_one_prize(shop, tmp_path):
    """Twenty requests with one key at the same time: one row, one code; whoever was told to come again finds it."""
    answers = await asyncio.gather(*(shop.issue("k:1") for _ in range(20)))
    assert {status for status, _ in answers} <= {200, 503}
    codes = {answer["code"] for status, answer in answers if status == 200}
    assert codes == {(await shop.get("/prizes/k:1"))[1]["code"]}
    with closing(sqlite3.connect(tmp_path / "prizes.db")) as database:
        assert database.execute("SELECT count(*) FROM prize").fetchone() == (1,)


async def test_only_once_keeps_the_second_edition_from_issuing_twice(shop, tmp_path, edition):
    """Its table would take the prize again, so that the auditor would see it; the table of the first would not."""
    await shop.issue("k:1")
    with closing(sqlite3.connect(tmp_path / "prizes.db")) as database:
        again = "INSERT INTO prize SELECT * FROM prize"
        if edition == "once":
            assert database.execute(again).rowcount == 1
        else:
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(again)


async def test_bad_orders_are_refused(shop):
    """An order that makes no sense is answered 400 and leaves nothing."""
    for body in ({}, {"key": "", **ORDER}, {"key": "k", "sku": "mug", "quantity": True}, [], "x", None):
        assert (await shop.post("/prizes", body))[0] == 400, body
    assert (await shop.get("/status"))[1]["prizes"] == 0


async def test_bad_plans_are_refused(shop):
    """A plan that makes no sense is answered 400."""
    wrong = ({}, [], {"shares": {"answer": {"slow": 2}}}, {"shares": {"x": {}}}, {"key": "k", "answer": "x"})
    for body in wrong:
        assert (await shop.post("/plan", body))[0] == 400, body


@pytest.mark.parametrize(("answer", "acted"), [("error", True), ("silent", True), ("garbage", True), ("lost", False)])
async def test_no_clear_answer(shop, answer, acted):
    """It acts and answers 500, nothing or garbage, or has not acted at all; afterwards the query tells which."""
    await shop.post("/plan", {"key": "k", "answer": answer})
    try:
        status, text = await shop.post("/prizes", {"key": "k", **ORDER})
        assert status == 500 or '"status": "SUCCEEDED", "code"' not in text
    except ClientError:
        assert answer in ("silent", "lost")
    assert (await shop.get("/prizes/k"))[0] == (200 if acted else 404)


async def test_a_slow_answer_has_acted(shop):
    """Whoever waits shorter than the slow answer finds the prize by query."""
    await shop.post("/plan", {"key": "k", "answer": "slow"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(shop.post("/prizes", {"key": "k", **ORDER}), 0.5)
    while (await shop.get("/prizes/k"))[0] == 404:  # noqa: ASYNC110 - a busy service tells nobody
        await asyncio.sleep(0.02)
    assert (await shop.get("/prizes/k"))[1]["status"] == "SUCCEEDED"


async def test_calls_back_twice_and_out_of_order(shop, listener):
    """A final twice, and a PENDING that arrives behind its final."""
    await shop.issue("twice", callback="twice")
    assert [told["outcome"] for told in await listener.until(2)] == ["succeeded", "succeeded"]
    await shop.issue("behind", callback="reordered")
    assert [told["outcome"] for told in (await listener.until(4))[2:]] == ["succeeded", "pending"]


async def test_a_contradiction_is_logged_once_both_claims_are_acknowledged(shop, listener):
    """While the mall acknowledges nothing, both claims are repeated and nothing counts; then it counts, over a kill."""
    listener.status = 503
    assert (await shop.issue("k:1", result="failed_then_succeeded"))[1]["status"] == "FAILED"
    await until(lambda: {told["outcome"] for told in listener.told} == {"failed", "succeeded"})
    assert shop.logged() == []
    await shop.service.kill()
    listener.status = 200
    await shop.service.start()
    await shop.until_logged("k:1")
    assert (await shop.get("/prizes/k:1"))[1]["status"] == "SUCCEEDED"
    assert (await shop.get("/status"))[1]["waiting"] == 0


async def test_a_mislabelled_prize_is_told_with_another_sku(shop, listener):
    """Every claim names a sku that nobody asked for, and that counts as planted once it is acknowledged."""
    assert (await shop.issue("k:1", result="mislabelled"))[1]["sku"] == "mug-b"
    assert (await listener.until(1))[0]["value"]["sku"] == "mug-b"
    await shop.until_logged("k:1")


async def test_shares_are_drawn_by_the_seed_and_survive_a_kill(shop):
    """Half of the keys are refused, the same ones after a restart, for keys that were never seen before."""
    assert (await shop.post("/plan", {"seed": 5, "shares": {"result": {"refused": 0.5}}}))[0] == 200
    before = [(await shop.issue(f"{n}"))[1]["status"] for n in range(40)]
    assert 8 < before.count("FAILED") < 32
    await shop.service.kill()
    await shop.service.start()
    assert {(await shop.issue(f"{n}"))[1]["status"] for n in range(40, 60)} == {"FAILED", "SUCCEEDED"}
    assert [(await shop.issue(f"{n}"))[1]["status"] for n in range(40)] == before
