"""A user's COMMIT whose answer is lost: the whole transaction is repeated, with the same key."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tests.process.shop import POINTS, Prize
from tests.servers.proxy import Proxy
from tests.sessions.kinds import KINDS, Django
from tieout import AlreadyStarted

COMMIT = re.compile(rb"\bCOMMIT\b")
REMOTE = [kind for kind in KINDS if kind.dialect != "sqlite"]

pytestmark = pytest.mark.parametrize("kind", REMOTE, ids=repr)


@pytest.fixture
async def proxy(place):
    async with Proxy(urlsplit(place.url).port).running() as running:
        yield running


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_the_same_key_again_is_safe(door, kind, place, proxy, fault):
    """Whether the lost COMMIT was done or not, the repetition says so, and everything is there once."""
    url = place.url.replace(f":{urlsplit(place.url).port}/", f":{proxy.port}/")
    if isinstance(kind, Django):
        door.kind = Django(kind.dialect, port=proxy.port)

    async def order(user):
        await user.write("order")
        return await user.start(door.request())

    proxy.lose(fault, lambda data: COMMIT.search(data) is not None)
    with pytest.raises(Exception, match=r".") as lost:
        await door.run(order, url=url)
    assert not isinstance(lost.value, AlreadyStarted)
    assert proxy.hits == 1
    if fault == "after":
        with pytest.raises(AlreadyStarted) as refused:
            await door.run(order, url=url)
        process = refused.value.process
    else:
        process = await door.run(order, url=url)
    await door.nudge(process.id)
    assert (await door.ended(process.id)).result == Prize("A1")
    assert (await door.users(), await door.points(), await door.count()) == (["order"], POINTS - 10, 1)
