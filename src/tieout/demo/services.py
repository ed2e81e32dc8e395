"""The two services as operating-system processes: started, killed, started again, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

READY_SECONDS = 60.0
STOP_SECONDS = 6.0
LOG_TAIL_BYTES = 2_000
PORTS = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections: else one of those could take a port while its service is away."""


class ServiceFailed(Exception):
    """A service did not start, or ended although nobody killed it. Carries the end of its log."""


class Service:
    """One service. It dies with this process: it watches its standard input, which is held here."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        port: int,
        log: Path,
        path: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.kills = 0
        self._arguments = arguments
        self._log = log
        self._path = path
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = await self._spawn(self._arguments)
        limit = time.monotonic() + READY_SECONDS
        while not await self._answers():
            self.check()
            if time.monotonic() > limit:
                raise ServiceFailed(f"{self.name} took more than {READY_SECONDS:.0f} s to start:\n{self.log_tail()}")
            await asyncio.sleep(0.03)

    async def run_once(self, arguments: list[str]) -> None:
        """Run the same program with other arguments until it ends."""
        process = await self._spawn(arguments)
        if await process.wait():
            raise ServiceFailed(f"{self.name} failed:\n{self.log_tail()}")

    async def kill(self) -> None:
        """Kill -9."""
        if self._process is not None and self.is_up:
            self._process.kill()
            await self._process.wait()
            self.kills += 1

    async def stop(self) -> None:
        """SIGTERM, and kill -9 when that takes too long."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        if process.returncode is None:
            process.kill()
            await process.wait()

    def check(self) -> None:
        """Raise `ServiceFailed` if it has ended by itself."""
        if not self.is_up:
            raise ServiceFailed(f"{self.name} has ended by itself:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if self._log.exists() else ""

    async def _spawn(self, arguments: list[str]) -> asyncio.subprocess.Process:
        environment = {**os.environ, **self._environment}
        if self._path is not None:
            known = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join([str(self._path), *([known] if known else [])])
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the director, which stops its services in order
            )

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


def free_ports(count: int) -> list[int]:
    """Ports of this machine's loopback that nobody listens on."""
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise ServiceFailed(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")
