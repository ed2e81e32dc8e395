"""What comes in from a broker comes whole, again until it is acknowledged, and to one of those who consume together."""

from __future__ import annotations

import asyncio

import pytest

from tests.channels.cases import KILLABLE
from tests.channels.messages import message

SECONDS = 90


async def received(subscription, count):
    """The next messages, each acknowledged; one that comes again because that took too long is the same."""
    found = {}
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            batch = await subscription.receive(min(50, count - len(found)))
            await subscription.acknowledge(batch)
            found |= {one.id: one for one in batch}
    return list(found.values())


async def subscribed(channel, topic):
    """A subscription, once the broker can be consumed from."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await channel.subscribe(topic)
            except Exception:  # noqa: BLE001 - as the loop of consumers does
                await asyncio.sleep(0.1)


async def test_a_message_comes_in_as_it_was_sent(channel, topic):
    """Id, topic, key, headers and body, of every byte there is."""
    sent = message(1, topic, bytes(range(256)), headers={"content-type": "x"}, key="schlüssel 1")
    await channel.publish([sent])
    subscription = await channel.subscribe(topic)
    (came,) = await received(subscription, 1)
    await subscription.close()
    assert came[:5] == sent[:5]


async def test_what_was_not_acknowledged_comes_again(channel, topic):
    """Whoever goes on after one that ended is given what that one had not acknowledged, under the same ids."""
    await channel.publish([message(n, topic) for n in range(20)])
    first = await channel.subscribe(topic)
    done = await received(first, 1)
    async with asyncio.timeout(SECONDS):
        open_ones = await first.receive(5)
    await first.close()
    second = await channel.subscribe(topic)
    rest = await received(second, 20 - len(done))
    await second.close()
    assert {one.id for one in rest} == {f"{n:032x}" for n in range(20)} - {one.id for one in done}
    assert {one.id for one in open_ones} <= {one.id for one in rest}


async def test_each_message_goes_to_one_of_those_who_consume_together(channel, topic):
    """Two nodes share what comes in."""
    both = [await channel.subscribe(topic) for _ in range(2)]
    found = []

    async def take(subscription):
        while len(set(found)) < 100:
            batch = await subscription.receive(5)
            await subscription.acknowledge(batch)
            found.extend(one.id for one in batch)

    taking = [asyncio.ensure_future(take(one)) for one in both]
    await channel.publish([message(n, topic) for n in range(100)])
    async with asyncio.timeout(SECONDS):
        await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
    for task in taking:
        task.cancel()
    await asyncio.gather(*taking, return_exceptions=True)
    for one in both:
        await one.close()
    assert set(found) == {f"{n:032x}" for n in range(100)}
    assert len(found) < 150  # some may come again, where acknowledging takes too long


@pytest.mark.parametrize("broker", KILLABLE, indirect=True)
async def test_after_a_kill_a_new_subscription_goes_on(broker, channel, topic):
    """One whose broker was killed raises, and what was not acknowledged is there again when the broker is."""
    await asyncio.sleep(broker.settles)
    await channel.publish([message(n, topic) for n in range(10)])
    first = await channel.subscribe(topic)
    async with asyncio.timeout(SECONDS):
        (one,) = await first.receive(1)
    broker.server.kill()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client finds first
        await received(first, 100)
    await first.close()
    broker.server.start()
    second = await subscribed(channel, topic)
    found = set()
    async with asyncio.timeout(SECONDS):
        while one.id not in found:
            batch = await second.receive(50)
            await second.acknowledge(batch)
            found |= {came.id for came in batch}
    await second.close()


async def test_without_a_server_nobody_subscribes(broker):
    """It is said at once, so that it can be tried again."""
    with pytest.raises(OSError):  # noqa: PT011 - a time-out or a refusal, whichever the client finds
        await broker.channel(broker.nowhere).subscribe("t")
