"""A broker, and the means to look at what it has."""

from __future__ import annotations

import nats
import pytest

from tests.servers.nats import Nats
from tieout.channels.nats import NatsChannel


@pytest.fixture(scope="session")
def broker():
    made = Nats()
    try:
        made.start()
        yield made
    finally:
        made.remove()


class Stream:
    """A stream of the broker's, made anew, and what it holds."""

    def __init__(self, url, name):
        self.url = url
        self.name = name

    async def __aenter__(self):
        client = await nats.connect(self.url)
        await client.jetstream().add_stream(name=self.name, subjects=[f"{self.name}.>"])
        await client.close()
        return self

    async def __aexit__(self, *error):
        client = await nats.connect(self.url)
        await client.jetstream().delete_stream(self.name)
        await client.close()

    async def messages(self):
        """Every message that it holds, in order: subject, headers, body."""
        client = await nats.connect(self.url)
        stream = client.jetstream()
        state = (await stream.stream_info(self.name)).state
        held = [await stream.get_msg(self.name, seq) for seq in range(1, state.messages + 1)]
        await client.close()
        return [(one.subject, one.headers, one.data or b"") for one in held]


@pytest.fixture
async def stream(broker):
    async with Stream(broker.url, "gifts") as made:
        yield made


@pytest.fixture
async def channel(broker):
    made = NatsChannel(broker.url)
    await made.open()
    yield made
    await made.close()
