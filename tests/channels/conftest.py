"""The brokers, each started when a test first asks for it."""

from __future__ import annotations

import itertools

import pytest

from tests.channels.cases import KafkaCase, NatsCase, RabbitMQCase

CASES = {case.name: case for case in (NatsCase, RabbitMQCase, KafkaCase)}
NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def brokers():
    made = {}

    def broker(name):
        if name not in made:
            made[name] = CASES[name]()
            made[name].server.start()
        return made[name]

    yield broker
    for case in made.values():
        case.server.remove()


@pytest.fixture
def nats(brokers):
    return brokers("nats")


@pytest.fixture
def rabbitmq(brokers):
    return brokers("rabbitmq")


@pytest.fixture(params=CASES)
def broker(request, brokers):
    """Each kind of broker in turn, running."""
    return brokers(request.param)


@pytest.fixture
async def place(broker):
    """A new place that keeps messages."""
    name = f"place{next(NUMBERS)}"
    await broker.make(name)
    yield name
    await broker.drop(name)


@pytest.fixture
def topic(broker, place):
    return broker.topic(place)


@pytest.fixture
async def channel(broker):
    made = broker.channel()
    await made.open()
    yield made
    await made.close()
