"""`tieout worker`: sweeps, drains, stops at once; and loses nothing whichever way it ends."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE = 60.0


@contextmanager
def working(shop, *options: str, app: str = "shop:app") -> Iterator[subprocess.Popen[str]]:
    """A worker that has begun to sweep, killed at the end if it still runs."""
    process = shop.spawn("worker", app, "--sweep-every", "0.05", "--json", *options)
    try:
        assert json.loads(process.stdout.readline())["event"] == "sweeping"
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str], *signals: signal.Signals) -> tuple[int, list[str]]:
    """How a worker ended after these signals: its status, and the events that it told after the first one."""
    for number in signals:
        process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, [json.loads(line)["event"] for line in out.splitlines()]


def make_due(shop) -> None:
    """Move the time of every running process forward to where the sweep finds it."""
    with sqlite3.connect(shop.file) as database:
        database.execute("UPDATE tieout_process SET due = 0 WHERE status = 'running'")
    database.close()


def test_a_drained_worker_finishes_what_it_has_begun(shop):
    """After SIGTERM the call in flight may still end: the process is completed, once, and the status is 0."""
    shop.feels(query="hang")
    process = shop.start()
    make_due(shop)
    with working(shop) as worker:
        shop.wait_for((shop.folder / "called").exists, "the call")
        worker.send_signal(signal.SIGTERM)
        assert json.loads(worker.stdout.readline()) == {"event": "draining", "signal": "SIGTERM", "in_flight": 1}
        shop.feels()
        assert stopped(worker) == (0, ["stopped"])
    assert shop.state(process) == "completed"
    assert shop.delivered(process) == 1


def test_what_a_worker_is_made_of_is_no_garbage(shop):
    """The collector does not look at it while it works."""
    shop.feels(query="hang")
    shop.start()
    make_due(shop)
    with working(shop):
        shop.wait_for(lambda: (shop.folder / "called").exists() and (shop.folder / "called").read_text(), "the call")
    assert int((shop.folder / "called").read_text()) > 10_000


def test_what_does_not_end_in_time_is_finished_by_another(shop):
    """A worker whose drain runs out ends cleanly all the same; another worker finishes the process, once."""
    shop.feels(query="hang")
    process = shop.start()
    make_due(shop)
    with working(shop, "--drain", "0.1") as worker:
        shop.wait_for((shop.folder / "called").exists, "the call")
        assert stopped(worker, signal.SIGTERM) == (0, ["draining", "stopped"])
    assert shop.state(process) == "issue"
    shop.feels()
    assert shop.run("process", "retry", process, "--reason", "its worker was drained").status == 0
    with working(shop) as another:
        shop.wait_for(lambda: shop.state(process) == "completed", "the other worker")
        assert stopped(another, signal.SIGINT) == (0, ["draining", "stopped"])
    assert shop.delivered(process) == 1


def test_a_second_signal_stops_at_once(shop):
    """Whoever signals twice does not wait for the call in flight; what it was about is still there to be done."""
    shop.feels(query="hang")
    process = shop.start()
    make_due(shop)
    with working(shop) as worker:
        shop.wait_for((shop.folder / "called").exists, "the call")
        worker.send_signal(signal.SIGTERM)
        assert json.loads(worker.stdout.readline())["event"] == "draining"
        assert stopped(worker, signal.SIGINT) == (130, [])
    assert shop.state(process) == "issue"


def test_several_workers_share_one_database(shop):
    """Two workers beside each other complete every process, and each of them once."""
    started = [shop.start(f"r-{n}") for n in range(12)]
    make_due(shop)
    with working(shop, "--in-flight", "3") as one, working(shop, "--in-flight", "3") as other:
        shop.wait_for(lambda: all(shop.state(process) == "completed" for process in started), "both workers")
        assert stopped(one, signal.SIGTERM)[0] == 0
        assert stopped(other, signal.SIGTERM)[0] == 0
    assert [shop.delivered(process) for process in started] == [1] * len(started)


def test_a_killed_worker_loses_nothing(shop):
    """A worker that is killed in the middle of a call leaves a process that the next one completes, once."""
    shop.feels(query="hang")
    process = shop.start()
    make_due(shop)
    with working(shop) as worker:
        shop.wait_for((shop.folder / "called").exists, "the call")
        worker.kill()
        worker.wait()
    shop.feels()
    make_due(shop)
    with working(shop):
        shop.wait_for(lambda: shop.state(process) == "completed", "the next worker")
    assert shop.delivered(process) == 1


def test_logs_go_to_standard_error(shop):
    """Without --json nothing is written to standard output; the log says what is swept and why it stops."""
    process = shop.spawn("worker", "--sweep-every", "50ms")
    try:
        assert "at work on types: redeem, reminder" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert "SIGTERM: draining 0 processes" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_module:app"], "there is no module 'no_module'"),
        (["shop:nothing"], "its Apps are: app, no_types, alone"),
        (["shop:app.nothing"], "has no"),
        (["shop:no_app"], "no tieout.App"),
        (["shop:Redeem"], "no tieout.App"),
        (["shop:no_types"], "nothing to work on"),
        (["shop"], "module:app"),
        (["sqlite:///shop.db"], "name the App"),
        (["shop:app", "--app", "shop:app"], "not several"),
        (["shop:app", "--sweep-every", "0"], "--sweep-every"),
        (["shop:app", "--sweep-every", "soon"], "not a duration"),
        (["shop:app", "--drain", "nan"], "not a duration"),
        (["shop:app", "--in-flight", "0"], "--in-flight"),
    ],
)
def test_what_is_no_app_is_refused(shop, arguments, said):
    """A worker does not start on what is no App with process types, or with limits that make no sense."""
    refused = shop.run("worker", *arguments)
    assert (refused.status, refused.out) == (2, "")
    assert "[config]" in refused.err
    assert said in refused.err
