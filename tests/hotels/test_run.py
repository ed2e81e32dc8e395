"""The demo of hotels, as its command runs it: faults strike, people order, and the copy keeps its word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgres import FAST, Postgres
from tests.servers.process import children

PROGRAM = "import json, sys; from tieout.demo.hotels import run; sys.exit(run(**json.loads(sys.argv[1])))"


def demo(folder, **options):
    """Run it in a process of its own, whose temporary files all lie in one folder."""
    return subprocess.run(
        command(**options), capture_output=True, text=True, env=here(folder), timeout=300, check=False
    )


def command(**options):
    return [sys.executable, "-c", PROGRAM, json.dumps({"json": True, **options})]


def here(folder):
    return os.environ | {"TMPDIR": str(folder)}


@pytest.fixture(scope="session")
def postgres():
    server = Postgres(**FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


def test_every_promise_is_kept_on_sqlite(tmp_path):
    """Limits, overlaps, faults, mass drops: the figures say that all was kept, and why that was not for free."""
    done = demo(tmp_path, seconds=8, seed=3)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    figures = json.loads(done.stdout)
    assert figures["kept"] is True and figures["broken"] == [] and list(figures)[-1] == "kept"
    assert figures["load"]["cells"] == figures["load"]["of"] == 5 * 60 * 10 * 60
    assert figures["cells"]["right"] + figures["cells"]["late"] == figures["cells"]["all"] and figures["cells"]["late"]
    assert all(0 < seen["highest"] <= seen["limit"] for seen in figures["suppliers"].values())
    assert figures["orders"]["checked"] > 0 and figures["visits"] > 100
    assert {"outage", "garbage", "partial", "drop", "cut"} <= set(figures["faults"])
    assert figures["alarms"]["mass-drop"] >= 1
    assert figures["pushes"]["accepted"] > 0 and figures["pushes"]["forged refused"] > 0
    assert list(tmp_path.iterdir()) == []


def test_every_promise_is_kept_on_postgresql(tmp_path, postgres):
    """The same on a server, whose database is dropped at the end."""
    before = postgres.psql("SELECT datname FROM pg_database")
    done = demo(tmp_path, seconds=4, seed=4, db=postgres.url())
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["kept"] is True and figures["cells"]["unknown"] == 0
    assert postgres.psql("SELECT datname FROM pg_database") == before
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle(tmp_path):
    """An interrupted run ends with 130, prints no figures, and leaves neither processes nor files."""
    process = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=here(tmp_path))
    for line in process.stderr:
        if "first load:" in line:
            break
    started = children(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err
    assert len(started) >= 2 and not any(Path(f"/proc/{pid}/cmdline").exists() for pid in started)
    assert list(tmp_path.iterdir()) == []
