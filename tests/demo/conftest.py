"""The demo's two services, run for a test as the director runs them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from tests.servers import mariadb as mariadb_server
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres
from tieout.demo.points import prize_service
from tieout.demo.services import Service, free_ports
from tieout.wire.standard_webhooks import Signed, parse_key, sign, verify

SECRET = "whsec_" + "dGhlLWtleS1vZi10aGUtcHJpemUtc2VydmljZS0wMDAx"
SIGNING = {"PRIZES_SECRET": SECRET}

FOLDER = Path(prize_service.__file__).parent.parent


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is true; fail after a minute."""
    for _ in range(1_200):
        if true():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came true")


class Caller:
    """A service over HTTP."""

    def __init__(self, service: Service, http: ClientSession) -> None:
        self.service = service
        self.http = http

    async def post(self, path: str, body: object) -> tuple[int, str]:
        async with self.http.post(self.service.url + path, json=body) as answer:
            return answer.status, await answer.text()

    async def send(self, path: str, body: bytes) -> tuple[int, dict[str, object]]:
        """Post raw bytes."""
        async with self.http.post(self.service.url + path, data=body) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> tuple[int, dict[str, object]]:
        async with self.http.get(self.service.url + path) as answer:
            return answer.status, await answer.json()


class Shop(Caller):
    """A running prize service."""

    def __init__(self, service: Service, http: ClientSession, log: Path) -> None:
        super().__init__(service, http)
        self.log = log

    async def issue(self, key: str, **planned: str) -> tuple[int, dict[str, object]]:
        """Order two mugs under a key, after saying what is to go wrong with it."""
        if planned:
            assert (await self.post("/plan", {"key": key, **planned}))[0] == 200
        status, text = await self.post("/prizes", {"key": key, "sku": "mug", "quantity": 2})
        return status, json.loads(text)

    def logged(self) -> list[str]:
        return [json.loads(line)["key"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    async def until_logged(self, key: str) -> None:
        await until(lambda: key in self.logged())


class Mall(Caller):
    """A running mall, and its API."""

    def __init__(self, service: Service, http: ClientSession, api_port: int) -> None:
        super().__init__(service, http)
        self.api = f"http://127.0.0.1:{api_port}"

    async def report(self, key: str, body: object, *, secret: str = SECRET) -> tuple[int, dict[str, object]]:
        """Call back about a call, signed."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = sign(parse_key(secret), f"msg_{secrets.token_hex(8)}", int(time.time()), sent)
        headers["content-type"] = "application/json"
        async with self.http.post(f"{self.api}/v1/report/{key}", data=sent, headers=headers) as answer:
            return answer.status, await answer.json()


class Listener:
    """Takes calls back that are rightly signed; acknowledges them while `status` is 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.told: list[dict[str, object]] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        fields = {name.lower(): [value] for name, value in request.headers.items()}
        assert isinstance(verify(fields, body, {"prizes": [parse_key(SECRET)]}, time.time()), Signed)
        self.told.append(json.loads(body))
        return web.Response(status=self.status)

    async def until(self, count: int) -> list[dict[str, object]]:
        """The first calls back, once there are so many."""
        await until(lambda: len(self.told) >= count)
        return self.told[:count]


@pytest.fixture
async def http():
    async with ClientSession(timeout=ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
async def listener():
    made = Listener(free_ports(1)[0])
    app = web.Application()
    app.add_routes([web.post("/callback/{key}", made.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture(params=["by-hand", "once"])
def edition(request):
    """How the prize service keeps from issuing twice."""
    return request.param


def prizes(folder: Path, edition: str, callback: str) -> Service:
    """The prize service, in this edition, with its files in a folder."""
    port = free_ports(1)[0]
    program = "tieout.demo.points.prizes_by_once" if edition == "once" else "prize_service"
    arguments = ["-m", program, "--db", str(folder / "prizes.db"), "--port", str(port), "--tied"]
    arguments += ["--callback", callback, "--conflict-log", str(folder / "conflicts.jsonl")]
    return Service("prizes", arguments, port, folder / "prizes.log", path=FOLDER, environment=SIGNING)


@pytest.fixture
async def shop(tmp_path, http, listener, edition):
    service = prizes(tmp_path, edition, f"http://127.0.0.1:{listener.port}/callback")
    await service.start()
    yield Shop(service, http, tmp_path / "conflicts.jsonl")
    await service.stop()


@pytest.fixture(scope="session")
def mariadb():
    server = MariaDB(**mariadb_server.FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres():
    server = Postgres(**FAST, wal_level="logical")
    try:
        server.create()
        yield server
    finally:
        server.remove()
