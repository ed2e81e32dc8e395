"""Every command on every server, of an App with an event loop and of one without."""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shop
from tests.cli.test_worker import stopped, working
from tests.coordination.conftest import Servers
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres
from tieout.database.driving import drive
from tieout.database.migrate import migrations

HERE = Path(__file__).parent


class Anywhere(Shop):
    """A shop whose database may be on a server, and whose App may be without an event loop."""

    def __init__(self, folder, capsys, url, module):
        super().__init__(folder, capsys)
        self.url = url
        self.module = module
        self.app = f"{module}:app"

    def inside(self, work):
        """Let the service itself do something; of an App without a loop, its core."""
        if self.module == "shop":
            return super().inside(work)
        plain = importlib.import_module("plain")
        plain.app.core.sweeps = False

        async def run():
            async with plain.app.core as app:
                app.worker.draining = True
                return await work(app, plain)

        return drive(run())

    def ask(self, sql, **params):
        """The first value of a statement's result, or how many rows it matched."""

        async def work(tx):
            if not sql.startswith("SELECT"):
                return await tx.execute(sql, **params)
            return (await tx.fetch_one(sql, **params))[0]

        return self.inside(lambda app, _: app.database.transact(work))

    def delivered(self, process):
        return self.ask("SELECT count(*) FROM delivered WHERE id = :id", id=process)

    def make_due(self):
        self.ask("UPDATE tieout_process SET due = 0 WHERE status = 'running'")


@pytest.fixture(scope="session")
def servers():
    """A server of each kind, made when it is asked for, set up as `doctor` likes it."""
    made = Servers({"postgres": Postgres, "mysql": MariaDB})
    yield made
    made.remove()


PLACES = [("sqlite", "plain"), ("postgres", "plain"), ("mysql", "shop"), ("mysql", "plain")]


@pytest.fixture(params=PLACES, ids="-".join)
def shop(request, servers, tmp_path, monkeypatch, capsys):
    """The shop with its tables, on one database, with one kind of App."""
    kind, module = request.param
    url = f"sqlite:///{tmp_path}/shop.db" if kind == "sqlite" else servers.migrated(kind)
    made = Anywhere(tmp_path, capsys, url, module)
    for name in ("shop.py", "plain.py"):
        shutil.copy(HERE / name, tmp_path)
    made.feels()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_DB", url)
    monkeypatch.setenv("TIEOUT_ACTOR", "alice")
    monkeypatch.setenv("TIEOUT_APP", made.app)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert made.run("migrate", made.app).status == 0
    made.ask("CREATE TABLE delivered (id VARCHAR(32), code VARCHAR(40))")
    yield made
    for name in ("plain", "shop"):
        sys.modules.pop(name, None)


def test_a_worker_completes_what_is_due_and_drains(shop):
    """Killed in the middle of a call, a worker loses nothing; the next one completes everything once, and drains."""
    shop.feels(query="hang")
    started = [shop.start(f"r-{n}") for n in range(5)]
    shop.make_due()
    with working(shop, app=shop.app) as worker:
        shop.wait_for((shop.folder / "called").exists, "a call")
        worker.kill()
        worker.wait()
    shop.feels()
    shop.make_due()
    with working(shop, app=shop.app) as worker:
        shop.wait_for(lambda: all(shop.state(process) == "completed" for process in started), "the worker")
        assert stopped(worker, signal.SIGTERM) == (0, ["draining", "stopped"])
    assert [shop.delivered(process) for process in started] == [1] * len(started)


def test_a_second_signal_stops_at_once(shop):
    """Whoever signals twice does not wait for the call in flight."""
    shop.feels(query="hang")
    process = shop.start()
    shop.make_due()
    with working(shop, app=shop.app) as worker:
        shop.wait_for((shop.folder / "called").exists, "the call")
        worker.send_signal(signal.SIGTERM)
        assert json.loads(worker.stdout.readline())["event"] == "draining"
        assert stopped(worker, signal.SIGINT) == (130, [])
    assert shop.state(process) == "issue"


def test_processes_are_looked_at_and_commanded(shop):
    """List, show, hold, resume, query and retry do what they say, and each is audited."""
    process = shop.start()
    assert shop.run("process", "list", "--json").document["id"] == process
    assert shop.run("process", "hold", process, "--reason", "wait").status == 0
    assert shop.run("process", "show", process, "--json").document["status"] == "held"
    assert shop.run("process", "resume", process, "--reason", "go").status == 0
    assert shop.run("process", "query", process, "--reason", "what became of it?").status == 0
    assert shop.state(process) == "completed"
    other = shop.start("r-2")
    assert shop.run("process", "retry", "--all", "--yes", "--reason", "now").status == 0
    shown = shop.run("process", "show", process, "--json").document
    assert [act["action"] for act in shown["audit"]] == ["hold", "resume", "query"]
    assert shop.run("process", "list", "--json", "--status", "running").document["id"] == other


def test_a_conflict_is_shown_and_settled(shop):
    """A contradiction is an alarm with its evidence, which a person settles."""
    process = shop.conflict()
    alarm = shop.run("alarm", "list", "--json").document
    assert alarm["kind"] == "conflict"
    assert len(shop.run("alarm", "show", alarm["id"], "--json").document["evidence"]) == 2
    settle = ("process", "settle", process, "--call", "1", "--as", "failed", "--reason", "they say so")
    persons = [shop.run(*settle, "--actor", actor).status for actor in ("alice", "bob")]
    assert persons == [1, 0]
    assert shop.run("alarm", "show", alarm["id"], "--json").document["state"] == "resolved"
    assert shop.run("process", "show", process, "--json").document["calls"][0]["final"]["kind"] == "failed"


@pytest.mark.parametrize("shop", [("sqlite", "plain")], indirect=True, ids="-".join)
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_migrate_makes_the_tables(shop, servers, kind):
    """In an empty database on a server all that there is is made, and the next time nothing."""
    applied = [shop.run("migrate", url, "--json").document["applied"] for url in itertools.repeat(servers(kind), 2)]
    assert applied[1] == [] and len(applied[0]) == len(migrations(kind))


@pytest.mark.parametrize("command", [["doctor"], ["process", "check"], ["migrate"], ["process", "graph"]])
def test_commands_about_the_whole(shop, command):
    """Doctor, check, migrate and graph work on it, and end well."""
    done = shop.run(*command, shop.app, *(["redeem"] if command[-1] == "graph" else []))
    assert done.status == 0, done.err + done.out


@pytest.mark.parametrize("shop", [("sqlite", "plain")], indirect=True, ids="-".join)
@pytest.mark.parametrize("name", ["made", "entered"])
def test_what_makes_an_app(shop, name):
    """A function that returns the App, or a context manager around it, stands for it."""
    process = shop.start()
    assert shop.run("process", "list", "--json", "--app", f"{shop.module}:{name}").document["id"] == process
    assert [(shop.folder / mark).exists() for mark in ("entered", "left")] == [name == "entered"] * 2


def test_the_database_alone_will_do(shop, monkeypatch):
    """What runs no code of process types needs but the URL."""
    monkeypatch.delenv("TIEOUT_APP")
    process = shop.start()
    assert shop.run("process", "list", "--json", "--db", shop.url).document["id"] == process
    assert shop.run("doctor", shop.url).status == 0
