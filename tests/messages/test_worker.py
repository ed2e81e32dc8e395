"""`tieout worker` for an App that has no process: it takes messages in, and sends what waits in its outbox."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from tests.servers.nats import Nats

STOCK = """
import os
import tieout
from tieout import Delivery, Transaction
from tieout.channels.nats import NatsChannel

app = tieout.App("sqlite:///stock.db", channels={"broker": NatsChannel(os.environ["BROKER"])})

@app.consume("broker/stock")
async def restock(tx: Transaction, message: Delivery) -> None:
    await tx.execute("INSERT INTO stock VALUES (:item)", item=message.body.decode())
    await app.outbox.add(tx, "broker/told", message.body)
"""
PATIENCE = 60.0


@pytest.fixture
def server():
    made = Nats()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def working(folder: Path, broker: str) -> subprocess.Popen[str]:
    """A worker that was started."""
    command = [Path(sys.executable).parent / "tieout", "worker", "stock:app", "--json"]
    environment = os.environ | {"BROKER": broker}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


async def test_an_app_that_only_consumes(tmp_path, server):
    """It says what it does, does it once for each message, and drains; what a handler has told is sent on."""
    (tmp_path / "stock.py").write_text(STOCK)
    with closing(sqlite3.connect(tmp_path / "stock.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE stock (item TEXT)")
    broker = await nats.connect(server.url)
    stream = broker.jetstream()
    await stream.add_stream(name="S", subjects=["stock", "told"])
    for number in (1, 2, 2, 3):
        await stream.publish("stock", b"%d" % number, headers={"Nats-Msg-Id": f"m{number}"})
    worker = working(tmp_path, server.url)
    try:
        said = json.loads(worker.stdout.readline())
        assert (said["types"], said["sources"], said["channels"]) == ([], ["broker/stock"], ["broker"])
        told = await stream.pull_subscribe("told", durable="tests", config=ConsumerConfig(ack_policy=AckPolicy.NONE))
        bodies: list[bytes] = []
        while len(bodies) < 3:
            bodies += [message.data for message in await told.fetch(3, timeout=PATIENCE)]
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=PATIENCE)
    finally:
        worker.kill()
        worker.communicate()
        await broker.close()
    assert worker.returncode == 0
    assert sorted(bodies) == [b"1", b"2", b"3"]
    with closing(sqlite3.connect(tmp_path / "stock.db")) as database:
        assert sorted(database.execute("SELECT item FROM stock")) == [("1",), ("2",), ("3",)]
