"""Real servers that fork: gunicorn with a preloaded application, Celery's prefork pool."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection

from tests.blocking.place import points
from tests.blocking.shop import redeem
from tests.servers.process import free_port
from tieout import Filter

ROOT = Path(__file__).parents[2]
PATIENCE = 180
"""Seconds after which something that should come true has not, on a busy machine."""


class Forking:
    """A program that forks, with what it is told of the place; it is stopped by SIGTERM."""

    def __init__(self, place, folder, *arguments, **told):
        self.log = folder / "log"
        environment = os.environ | {"SHOP_DB": place.url, "BROKER": str(folder), **told}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def until(self, true):
        """Wait until it is true, while the program runs."""
        ends = time.monotonic() + PATIENCE
        while not true():
            assert self.process.poll() is None and time.monotonic() < ends, self.log.read_text()
            time.sleep(0.05)

    def stop(self):
        """Ask it to end; return its status."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()


class Gunicorn(Forking):
    def __init__(self, place, folder, **told):
        self.port = free_port()
        bind = ["--bind", f"127.0.0.1:{self.port}", "--worker-tmp-dir", str(folder)]
        settings = ["-c", "tests/blocking/forked_gunicorn.py", *bind]
        super().__init__(place, folder, "gunicorn", *settings, "tests.blocking.forked:web", **told)

    def listens(self):
        try:
            return self.get("/first")
        except OSError:
            return None

    def get(self, path):
        """The status and words of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().split()
        finally:
            connection.close()


@pytest.fixture
def gunicorn(place, tmp_path):
    started = []

    def start(**told):
        started.append(Gunicorn(place, tmp_path, **told))
        started[-1].until(started[-1].listens)
        return started[-1]

    yield start
    for server in started:
        server.stop()


def test_preloaded_by_gunicorn_and_opened_in_its_workers(place, gunicorn):
    """Requests that come twice, to any worker, redeem once; SIGTERM ends the workers in order."""
    server = gunicorn()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.get, [f"/r{n % 20}" for n in range(80)]))
    assert {(status, words[0]) for status, words in answers} == {(200, "completed")}
    assert server.stop() == 0, server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    with place.app(redeem()) as looked:
        assert (points(looked), len(looked.list(Filter(limit=50)))) == (1_000 - 21, 21)


def test_opened_before_gunicorn_forks(gunicorn):
    """Every request to a worker is answered by `app-forked`, at once, and none hangs on a thread that is not there."""
    server = gunicorn(OPENED="before the fork")
    assert [server.get(f"/r{n}") for n in range(4)] == [(500, ["app-forked"])] * 4


def test_tasks_of_celery_start_processes(place, tmp_path):
    """Tasks in a prefork pool, each delivered twice, redeem once each; SIGTERM ends the worker in order."""
    for folder in ("queue", "control"):
        (tmp_path / folder).mkdir()
    celery = [
        "celery",
        "-A",
        "tests.blocking.forked:queue",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "-l",
        "INFO",
    ]
    worker = Forking(place, tmp_path, *celery, "--without-gossip", "--without-mingle", "--without-heartbeat")
    folders = {"data_folder_in": f"{tmp_path}/queue", "data_folder_out": f"{tmp_path}/queue"}
    options = folders | {"control_folder": f"{tmp_path}/control"}
    try:
        send(options, [f"r{n}" for n in range(10)] * 2)
        worker.until(lambda: worker.log.read_text().count(" succeeded in ") == 20)
        assert worker.stop() == 0, worker.log.read_text()
        with place.app(redeem()) as looked:
            assert {view.state for view in looked.list()} == {"completed"}
            assert (points(looked), len(looked.list())) == (990, 10)
    finally:
        worker.stop()
    assert "Traceback" not in worker.log.read_text()


def send(options, request_ids):
    """Put tasks into the queue as a client of Celery does."""
    with Celery(broker=Connection("filesystem://", transport_options=options)) as client:
        client.conf.broker_url = "filesystem://"
        client.conf.broker_transport_options = options
        for request_id in request_ids:
            client.send_task("redeem", [request_id], ignore_result=True)
