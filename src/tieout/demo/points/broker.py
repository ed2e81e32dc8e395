"""The queue of a run at a broker that somebody else runs: looked at before and after, and removed at the end."""

from __future__ import annotations

import logging
from typing import Literal

from tieout import ConfigError

CONNECT_SECONDS = 3.0

HERE = "amqp://guest:guest@127.0.0.1:5672/"
"""Where a RabbitMQ of this machine is, as it comes: by that name only this machine may log in."""

LOOK, WITHOUT = "auto", "none"
"""Instead of a URL: the broker of this machine if there is one, or no broker at all."""

State = Literal["none", "there", "gone"]
"""Whether a run has a broker, and whether that still answers."""


async def found(asked: str, queue: str) -> Queue:
    """The queue of a run whose broker is `asked` for; raise `ConfigError` when one that is named does not answer."""
    if asked != LOOK:
        made = Queue("" if asked == WITHOUT else asked, queue)
        await made.check()
        return made
    here = Queue(HERE, queue)
    try:
        return here if await here.state() == "there" else Queue("", queue)
    except ImportError:
        return Queue("", queue)


class Queue:
    """A queue at `broker`, an amqp:// URL, or no queue at all."""

    def __init__(self, broker: str, name: str) -> None:
        self.broker = broker
        self.name = name

    def arguments(self) -> list[str]:
        """What a service is told of it."""
        return ["--broker", self.broker, "--queue", self.name] if self.broker else []

    async def check(self) -> None:
        """Raise `ConfigError` when the broker cannot be reached, or its client is not installed."""
        if not self.broker:
            return
        try:
            state = await self.state()
        except ImportError as error:
            raise ConfigError(f"--broker needs {error.name}: pip install 'tieout[rabbitmq]'") from error
        if state == "gone":
            raise ConfigError("--broker: nothing answers there as RabbitMQ does")

    async def state(self) -> State:
        """Whether it is there."""
        if not self.broker:
            return "none"
        return "there" if await self._reach(remove=False) else "gone"

    async def remove(self) -> None:
        """Delete the queue, if its broker is there."""
        if self.broker:
            await self._reach(remove=True)

    async def _reach(self, *, remove: bool) -> bool:
        import aio_pika

        # A broker that is not there is told in the demo's own words.
        logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
        try:
            connection = await aio_pika.connect(self.broker, timeout=CONNECT_SECONDS)
            try:
                if remove:
                    channel = await connection.channel()
                    await channel.queue_delete(self.name)
            finally:
                await connection.close()
        except (aio_pika.exceptions.AMQPError, OSError, TimeoutError, ValueError):
            return False
        return True
