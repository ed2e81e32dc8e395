"""The demo of hotels, as its command runs it: faults strike, people order, and the copy keeps its word."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = "import json, sys; from tieout.demo.hotels import run; sys.exit(run(**json.loads(sys.argv[1])))"


def demo(folder, **options):
    """Run it in a process of its own, whose temporary files all lie in one folder."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps({"json": True, **options})],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
        timeout=150,
        check=False,
    )


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
    assert list(tmp_path.iterdir()) == []
