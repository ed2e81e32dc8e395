"""A TCP proxy that loses what it is told to lose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Literal

from tests.servers.process import free_port

Fault = Literal["before", "after", "hang"]
"""Cut the connection before the request reaches the server, or after it has been served; or answer nothing any more."""


class Proxy:
    """Stands before a server on this machine; `when` decides on each request, and a fault happens once."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.hits = 0
        self._target = target
        self._when: Callable[[bytes], bool] | None = None
        self._fault: Fault = "before"
        self._tasks: set[asyncio.Task[None]] = set()
        self._hung = asyncio.Event()

    def lose(self, fault: Fault, when: Callable[[bytes], bool]) -> None:
        """Arm it: the next request for which `when` is true meets the fault."""
        self._fault, self._when, self._hung = fault, when, asyncio.Event()

    def cut(self) -> None:
        """Let the server see that the connections which hang are gone."""
        self._hung.set()

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: one that is cancelled before it has begun would leave the connection open.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, away = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        silent = asyncio.Event()
        answers = asyncio.create_task(self._answers(there, writer, silent))
        try:
            await self._requests(reader, away, silent)
        except (asyncio.CancelledError, ConnectionError):
            return
        finally:
            answers.cancel()
            away.transport.abort()

    async def _requests(self, reader, away, silent: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            if self._when is None or not self._when(data):
                away.write(data)
                continue
            self._when = None
            self.hits += 1
            if self._fault == "before":
                return
            silent.set()
            away.write(data)
            if self._fault == "after":
                # Long enough for the server to have served it; nobody waits for this but the fault itself.
                await asyncio.sleep(0.3)
                return
            await self._hung.wait()
            return

    async def _answers(self, there, writer, silent: asyncio.Event) -> None:
        while data := await there.read(65_536):
            if not silent.is_set():
                writer.write(data)
        if not silent.is_set():
            writer.close()
