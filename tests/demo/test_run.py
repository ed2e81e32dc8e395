"""The whole demo, as its command runs it: both services killed, and both sides agree."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import children

PROGRAM = "import json, sys; from tieout.demo.points import run; sys.exit(run(**json.loads(sys.argv[1])))"
FIGURES = {
    *("accepted", "final", "held", "completed", "refunded", "duplicates", "refused", "conflicts_planted"),
    *("conflicts_alarmed", "unexplained", "lost", "double", "by_way", "told_by", "broker"),
    *("visits", "kills", "agreement"),
}


class Demo:
    """One run of the demo in a process of its own, whose temporary files all lie in one folder."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps({"json": True, "broker": "none", **options})],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        self._alarm = threading.Timer(300, self.process.kill)
        self._alarm.start()

    def until_said(self, words: str) -> None:
        """Read what it tells people until these words come."""
        for line in self.process.stderr:
            if words in line:
                return
        pytest.fail(f"it never said {words!r}")

    def where(self) -> tuple[str, str]:
        """Where the shop and the description of its API are, as it tells people."""
        for line in self.process.stderr:
            if found := re.search(r"the shop: (\S+)  its API: (\S+),", line):
                return found[1], found[2]
        pytest.fail("it never said where its shop is")

    def end(self) -> tuple[int, str, str]:
        """Its exit status and what it printed, once it has ended."""
        out, err = self.process.communicate()
        self._alarm.cancel()
        return self.process.returncode, out, err


def check(out: str) -> dict[str, Any]:
    """Standard output is one line with all figures, and they agree; the figures."""
    assert out.count("\n") == 1
    figures = json.loads(out)
    assert set(figures) == FIGURES and list(figures)[-1] == "agreement"
    assert figures["agreement"] is True
    assert figures["accepted"] == figures["final"] + figures["held"] > 200
    assert figures["final"] == figures["completed"] + figures["refunded"]
    assert figures["conflicts_planted"] == figures["conflicts_alarmed"] > 0
    assert figures["kills"] >= 4 and figures["duplicates"] > 0 and figures["refused"] > 0
    assert set(figures["by_way"]) == {"immediate", "query", "push", "sweep"} and all(figures["by_way"].values())
    assert sum(figures["by_way"].values()) == figures["final"]
    assert figures["told_by"]["callback"] > 0
    return figures


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def test_agreement_on_sqlite_then_serving_until_interrupted(tmp_path):
    """Kills, lies and all: agreement; with `keep` both services stay until Ctrl-C, and their files stay after it."""
    demo = Demo(tmp_path, seconds=10, rate=80, seed=11, keep=True)
    demo.until_said("serving until Ctrl-C")
    services = children(demo.process.pid)
    assert len(services) == 2
    demo.process.send_signal(signal.SIGINT)
    status, out, _ = demo.end()
    assert status == 0
    check(out)
    assert gone(services)
    [folder] = tmp_path.glob("tieout-demo-*")
    assert (folder / "mall.db").exists() and " ERROR " not in (folder / "mall.log").read_text()


def test_agreement_on_postgresql(tmp_path, postgres):
    """The same on PostgreSQL, whose databases are dropped at the end, as is the folder."""
    before = postgres.psql("SELECT datname FROM pg_database")
    status, out, err = Demo(tmp_path, seconds=10, rate=80, seed=12, db=postgres.url()).end()
    assert status == 0, err
    check(out)
    assert postgres.psql("SELECT datname FROM pg_database") == before
    assert list(tmp_path.iterdir()) == []


def test_agreement_on_mariadb(tmp_path, mariadb):
    """The same on MariaDB, both services and the auditor."""
    before = mariadb.sql("SHOW DATABASES")
    status, out, err = Demo(tmp_path, seconds=10, rate=60, seed=13, db=mariadb.url()).end()
    assert status == 0, err
    check(out)
    assert mariadb.sql("SHOW DATABASES") == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_agreement_with_prizes_under_once(tmp_path, postgres, db):
    """The second edition, whose table would take a second prize for a key, agrees as well; conflicts are alarmed."""
    options = {"db": postgres.url()} if db == "postgres" else {}
    status, out, err = Demo(tmp_path, seconds=8, rate=80, seed=13, prizes="once", **options).end()
    assert status == 0, err
    check(out)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle(tmp_path):
    """An interrupted run ends with 130, prints no figures, and leaves neither processes nor files."""
    demo = Demo(tmp_path, seconds=60, rate=20)
    demo.until_said("users redeem")
    services = children(demo.process.pid)
    demo.process.send_signal(signal.SIGINT)
    status, out, err = demo.end()
    assert (status, out) == (130, "") and "Traceback" not in err
    assert services and gone(services)
    assert list(tmp_path.iterdir()) == []


def test_killed_in_the_middle(tmp_path):
    """When the director itself is killed (-9), its services do not outlive it."""
    demo = Demo(tmp_path, seconds=60, rate=20)
    demo.until_said("users redeem")
    services = children(demo.process.pid)
    demo.process.kill()
    demo.end()
    for _ in range(1_200):
        if gone(services):
            break
        threading.Event().wait(0.05)
    assert len(services) == 2 and gone(services)
