"""A client that is gone when its answer is sent: what was committed stays, and what comes after the answer is done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.once.place import Place, effects
from tests.once.test_http import served
from tests.once.web import Service, give, reply
from tieout import current_tx


class GoneError(Exception):
    """What a server raises when it cannot send."""


def breaking(client: Any, error: BaseException) -> None:
    """Let whatever is sent to this client raise."""
    app = client.app

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        async def fail(message: Any) -> None:
            raise error

        await app(scope, receive, fail)

    client.app = broken


@pytest.mark.parametrize(
    ("error", "told"), [(GoneError(), ["told"]), (asyncio.CancelledError(), [])], ids=["gone", "cancelled"]
)
async def test_a_client_that_is_gone_when_it_is_answered(place: Place, error: BaseException, told: list[str]) -> None:
    """The route is let go on to its end, or ended with who is cancelled; it never waits for ever."""
    after: list[str] = []

    async def route(service: Service, scope: Any, receive: Any, send: Any) -> None:
        await give(current_tx(), "", "mug", 1)
        await reply(send, 1)
        after.append("told")

    client, _ = await served(place, Service(route))
    before = asyncio.all_tasks()
    breaking(client, error)
    with pytest.raises(type(error)):
        await client.send("k1")
    assert (after, await effects(place.apps[0])) == (told, 1)
    assert asyncio.all_tasks() == before
