"""How others reach the demo while it runs: its page, its API, and a broker that is killed for good."""

from __future__ import annotations

import asyncio
import json
import time

import aio_pika
import httpx
import pytest

from tests.demo.test_run import Demo, check
from tests.servers.process import free_port
from tests.servers.rabbitmq import RabbitMQ
from tieout.demo.points import run
from tieout.demo.points.broker import found
from tieout.errors import ConfigError

PATIENCE = 60.0


@pytest.fixture
def broker():
    made = RabbitMQ()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def redeemed(shop: str, key: str) -> dict[str, object]:
    """Redeem a mug as the page does, the same again until there is an answer."""
    order = {"user": "visitor", "sku": "mug", "quantity": 1}
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        try:
            answer = httpx.post(f"{shop}redeem", json=order, headers={"Idempotency-Key": f'"{key}"'}, timeout=5)
        except httpx.TransportError:
            continue
        if answer.status_code in (200, 202):
            return answer.json()
    pytest.fail("the shop never took it")


def test_a_visitor_while_it_runs(tmp_path):
    """The page and the API are there; who redeems on the page is audited like everybody else."""
    demo = Demo(tmp_path, seconds=8, rate=40, seed=21)
    shop, api = demo.where()
    assert "shop.js" in httpx.get(shop).text
    assert httpx.get(api).status_code == 200
    first = redeemed(shop, "v1")
    assert redeemed(shop, "v1")["id"] == first["id"]
    status, out, err = demo.end()
    assert status == 0, err
    figures = json.loads(out)
    assert (figures["visits"], figures["broker"], figures["agreement"]) == (1, "none", True)


def test_half_of_it_by_messages(tmp_path, broker):
    """With a broker, what becomes of prizes is told by callbacks and by messages; its queue is removed at the end."""
    status, out, err = Demo(tmp_path, seconds=8, rate=60, seed=22, broker=broker.url).end()
    assert status == 0, err
    figures = check(out)
    assert figures["broker"] == "there"
    assert figures["told_by"]["message"] > 0 and figures["told_by"]["given up"] == 0
    assert "tieout-demo" not in asyncio.run(queues(broker, err))


async def queues(broker: RabbitMQ, said: str) -> str:
    """The name of the run's queue, if it is still there."""
    connection = await aio_pika.connect(broker.url)
    async with connection:
        name = said.partition("through the queue ")[2].split()[0]
        try:
            await (await connection.channel()).declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return ""
        return name


def test_the_broker_is_killed_for_good(tmp_path, broker):
    """What its messages would have told is asked for: everything becomes final all the same, and both sides agree."""
    demo = Demo(tmp_path, seconds=10, rate=60, seed=23, broker=broker.url)
    demo.until_said("started prizes again")
    broker.kill()
    status, out, err = demo.end()
    assert status == 0, err
    figures = check(out)
    assert figures["broker"] == "gone"
    assert figures["told_by"]["given up"] > 0
    assert figures["by_way"]["sweep"] > 0


def test_a_broker_of_this_machine_is_found(tmp_path, broker, monkeypatch):
    """Unless told otherwise, a run uses the RabbitMQ that answers on this machine, and does without where none does."""
    monkeypatch.setattr("tieout.demo.points.broker.HERE", broker.url)
    assert asyncio.run(found("auto", "q")).broker == broker.url
    assert asyncio.run(found("none", "q")).broker == ""
    broker.kill()
    assert asyncio.run(found("auto", "q")).broker == ""


def test_a_broker_that_is_not_there():
    """The demo does not begin without the broker that it was told to use."""
    with pytest.raises(ConfigError, match="nothing answers there"):
        run(broker="amqp://guest:guest@127.0.0.1:1/", seconds=5)
    with pytest.raises(ConfigError, match="amqp://"):
        run(broker="redis://127.0.0.1")


def test_a_broker_that_is_not_there_is_no_error(monkeypatch, caplog):
    """A demo that looks for one in vain goes on without; its client says nothing that would look like a failure."""
    monkeypatch.setattr("tieout.demo.points.broker.HERE", f"amqp://127.0.0.1:{free_port()}/")
    assert asyncio.run(found("auto", "q")).broker == ""
    assert caplog.records == []
