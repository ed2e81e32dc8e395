"""What only NATS does: a stream knows repetitions, and a subject has a grammar."""

from __future__ import annotations

import pytest

from tests.channels.messages import message


@pytest.fixture
def broker(nats):
    return nats


async def test_the_same_message_again_is_stored_once(broker, channel, place, topic):
    """A repetition under the same id is confirmed, and not stored again."""
    for _ in range(3):
        assert await channel.publish([message(1, topic)]) == [None]
    assert len(await broker.kept(place)) == 1


@pytest.mark.parametrize("wrong", ["a b", "{}.*", "{}.>", "{}..x", ".", "{}.x\r\nPUB {}.y 1"])
async def test_what_is_no_subject_is_refused(broker, channel, place, wrong):
    """A topic with a blank or a wildcard never reaches the server."""
    (verdict,) = await channel.publish([message(1, wrong.replace("{}", place))])
    assert "no subject" in verdict
    assert await broker.kept(place) == []


async def test_a_body_that_is_too_long_for_the_server_is_refused(broker, channel, place, topic):
    """The server's limit is a refusal of that message, and the connection goes on."""
    verdicts = await channel.publish([message(1, topic, b"x" * (1 << 21)), message(2, topic)])
    assert "MaxPayload" in verdicts[0] and verdicts[1] is None
