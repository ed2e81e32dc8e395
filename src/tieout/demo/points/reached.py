"""How others reach the mall: its API, where callbacks come signed, and the broker, if there is one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Self

from tieout import App, ConfigError
from tieout.server import Sender, Settings
from tieout.server.node import serve

SECRET = "PRIZES_SECRET"  # noqa: S105 - the variable's name
"""The variable that holds the key by which the prize service signs."""

SENDER = "prizes"
CHANNEL = "broker"


class Api:
    """`/v1` of the mall, as `tieout serve` has it, inside the mall's process; nowhere without a port of its own."""

    def __init__(self, app: App, port: int) -> None:
        self._app = app
        self._port = port
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is; empty where it is not."""
        return f"http://127.0.0.1:{self._port}" if self._port else ""

    async def __aenter__(self) -> Self:
        if self._port:
            listening = asyncio.Event()
            sender = Sender(keys=(os.environ[SECRET],), lanes=(SENDER,))
            settings = Settings(port=self._port, senders={SENDER: sender}, drain=1)
            serving = serve(self._app, settings, self._stop.wait(), ready=lambda _: listening.set())
            self._serving = asyncio.create_task(serving)
            waiting = asyncio.create_task(listening.wait())
            await asyncio.wait({self._serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.is_set():
                waiting.cancel()
                await self._serving
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._serving is not None:
            self._stop.set()
            await self._serving


def channels(broker: str) -> Mapping[str, Any]:
    """The way to the broker, if one is named; raise `ConfigError` when its client is not installed."""
    if not broker:
        return {}
    try:
        from tieout.channels.rabbitmq import RabbitMQChannel
    except ImportError as error:
        raise ConfigError(f"--broker needs {error.name}: pip install 'tieout[rabbitmq]'") from error
    return {CHANNEL: RabbitMQChannel(broker)}
