"""The prize service fails as it was told to, and its contradictions are told until they are acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from tieout.demo.points import prize_service
from tieout.demo.points.services import Service, free_ports

ORDER = {"sku": "mug", "quantity": 2}
FOLDER = Path(prize_service.__file__).parent.parent


class Mall:
    """Takes calls back; acknowledges them while `status` is 200."""

    def __init__(self) -> None:
        self.status = 200
        self.told: list[dict[str, object]] = []
        self.news = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        async with self.news:
            self.told.append(await request.json())
            self.news.notify_all()
        return web.Response(status=self.status)

    async def until(self, count: int) -> list[dict[str, object]]:
        """The first calls back, once there are so many."""
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(lambda: len(self.told) >= count)
        return self.told[:count]


class Shop:
    """A running prize service, and how it is spoken to."""

    def __init__(self, service: Service, http: ClientSession, log: Path) -> None:
        self.service = service
        self.http = http
        self.log = log

    async def post(self, path: str, body: object) -> tuple[int, str]:
        async with self.http.post(self.service.url + path, json=body) as answer:
            return answer.status, await answer.text()

    async def get(self, path: str) -> tuple[int, dict[str, object]]:
        async with self.http.get(self.service.url + path) as answer:
            return answer.status, await answer.json()

    async def issue(self, key: str, **planned: str) -> tuple[int, dict[str, object]]:
        if planned:
            assert (await self.post("/plan", {"key": key, **planned}))[0] == 200
        status, text = await self.post("/prizes", {"key": key, **ORDER})
        return status, json.loads(text)

    def logged(self) -> list[str]:
        return [json.loads(line)["key"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    async def until_logged(self, key: str) -> None:
        await until(lambda: key in self.logged())


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is true; fail after 20 seconds."""
    for _ in range(400):
        if true():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came true")


@pytest.fixture
async def mall():
    made = Mall()
    app = web.Application()
    app.add_routes([web.post("/callback", made.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    made.port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def shop(tmp_path, mall):
    port = free_ports(1)[0]
    callback = f"http://127.0.0.1:{mall.port}/callback"
    log = tmp_path / "conflicts.jsonl"
    arguments = ["-m", "prize_service", "--db", str(tmp_path / "prizes.db"), "--port", str(port), "--tied"]
    arguments += ["--callback", callback, "--conflict-log", str(log)]
    service = Service("prizes", arguments, port, tmp_path / "service.log", path=FOLDER)
    await service.start()
    async with ClientSession(timeout=ClientTimeout(total=5)) as http:
        yield Shop(service, http, log)
    await service.stop()


async def test_the_same_key_gets_the_same_prize(shop):
    """A key is issued once, is found by query, and is refused for another order; an unknown key is not found."""
    status, first = await shop.issue("a:1")
    assert (status, first["status"]) == (200, "SUCCEEDED")
    assert await shop.issue("a:1") == (200, first)
    assert await shop.get("/prizes/a:1") == (200, first)
    assert (await shop.post("/prizes", {"key": "a:1", "sku": "mug", "quantity": 3}))[0] == 409
    assert await shop.get("/prizes/b:1") == (404, {"key": "b:1", "status": "NOT_FOUND"})
    assert (await shop.get("/status"))[1]["prizes"] == 1


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
    assert (await shop.get("/prizes/k"))[1]["status"] == "SUCCEEDED"


async def test_calls_back_twice_and_out_of_order(shop, mall):
    """A final twice, and a PENDING that arrives behind its final."""
    await shop.issue("twice", callback="twice")
    assert [told["status"] for told in await mall.until(2)] == ["SUCCEEDED", "SUCCEEDED"]
    await shop.issue("behind", callback="reordered")
    assert [told["status"] for told in (await mall.until(4))[2:]] == ["SUCCEEDED", "PENDING"]


async def test_a_contradiction_is_logged_once_both_claims_are_acknowledged(shop, mall):
    """While the mall acknowledges nothing, both claims are repeated and nothing counts; then it counts, over a kill."""
    mall.status = 503
    assert (await shop.issue("k:1", result="failed_then_succeeded"))[1]["status"] == "FAILED"
    await until(lambda: {told["status"] for told in mall.told} == {"FAILED", "SUCCEEDED"})
    assert shop.logged() == []
    await shop.service.kill()
    mall.status = 200
    await shop.service.start()
    await shop.until_logged("k:1")
    assert (await shop.get("/prizes/k:1"))[1]["status"] == "SUCCEEDED"
    assert (await shop.get("/status"))[1]["waiting"] == 0


async def test_a_mislabelled_prize_is_told_with_another_sku(shop, mall):
    """Every claim names a sku that nobody asked for, and that counts as planted once it is acknowledged."""
    assert (await shop.issue("k:1", result="mislabelled"))[1]["sku"] == "mug-b"
    assert (await mall.until(1))[0]["sku"] == "mug-b"
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
