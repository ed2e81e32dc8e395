"""A real node: `tieout serve` as a program of its own, in a folder of its own, stopped by its process id."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import tieout
from tests.servers.process import free_port
from tieout.access import Tokens
from tieout.process.record import Record
from tieout.server.settings import SECRET_NAMES

HERE = Path(__file__).parent
TIEOUT = str(Path(sys.executable).parent / "tieout")
PATIENCE = 60.0

KEY = "whsec_" + "c2VjcmV0LW9mLXRoZS1wcml6ZS1zZXJ2aWNlLTAwMQ=="
OLD_KEY = "whsec_" + "dGhlLWtleS1vZi15ZXN0ZXJkYXktd2hpY2gtY291bnRz"
BANK_KEY = "whsec_" + "dGhlLWtleS1vZi1hLWJhbmstdGhhdC1pcy1hcGFydC0x"

SETTINGS = f"""
[server]
rate = 100000
burst = 100000
mask = [{", ".join(f'"{name}"' for name in (*SECRET_NAMES, "card.number"))}]

[server.senders.prizes]
keys = ["{KEY}", "{OLD_KEY}"]
lanes = ["prizes"]

[server.senders.bank]
keys = ["{BANK_KEY}"]
lanes = ["bank"]
"""


@dataclass
class Node:
    """One node on a database, and what it has said."""

    folder: Path
    url: str
    settings: str = SETTINGS
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"log-{self.port}"

    @property
    def memory(self) -> int:
        """The memory that it has, in bytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmRSS"))

    def start(self) -> Node:
        """Start it and wait until it serves."""
        self.folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "shop.py", self.folder)
        (self.folder / f"{self.port}.toml").write_text(self.settings)
        command = [TIEOUT, "serve", "shop:app", "--port", str(self.port), "--config", f"{self.port}.toml", "--json"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
                env=os.environ | {"SHOP_DB": self.url},
            )
        assert self.said() == "serving", self.log.read_text()
        return self

    def said(self) -> str:
        """The next event on its standard output, "" at its end."""
        assert self.process is not None
        line = self.process.stdout.readline()
        return json.loads(line)["event"] if line else ""

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it in good order; its exit status."""
        self.signal()
        return self.ended()

    def ended(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def client(self, token: str = "", **options: Any) -> httpx.Client:
        """An HTTP client of it, with a token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=PATIENCE, **options)


def migrate(url: str) -> str:
    """Bring a database's tables up to date; its URL."""

    async def work() -> None:
        app = tieout.App(url)
        await app.migrate()
        await app.database.close()

    asyncio.run(work())
    return url


def token(url: str, owner: str, *roles: str, lifetime: int = 3_600_000_000) -> str:
    """A new token."""

    async def work() -> str:
        async with tieout.App(url, sweep=False, migrate=False) as app:
            tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
            made = await tokens.create(owner, roles, lifetime=lifetime, actor="tests", reason="a test")
            return made.text

    return asyncio.run(work())


def inside(url: str, work: Any) -> Any:
    """Do something with an App on the same database, beside the nodes."""

    async def run() -> Any:
        async with tieout.App(url, sweep=False, migrate=False) as app:
            return await work(app)

    return asyncio.run(run())


def stored(url: str, process: str) -> Record:
    """The row of a process."""
    return inside(url, lambda app: app.engine.read(bytes.fromhex(process)))


def wait_for(condition: Any, what: str) -> Any:
    """Ask until there is an answer; it."""
    ends = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited too long for {what}"
        time.sleep(0.02)
    return found
