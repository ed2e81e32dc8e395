"""The gate runs everything, counts rightly, and leaves nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from scripts import gate
from tests.tidy import tree

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["setup", "demo", "check", "test", "bench", "prove", "docs"]


def test_every_suite_is_run() -> None:
    """`make test` runs each folder of tests, those that no list names included, the fast ones first."""
    folders = {path.relative_to(tree.ROOT / "tests").parts[0] for path in (tree.ROOT / "tests").rglob("test_*.py")}
    run = gate.suites_of("test")
    assert set(run) == folders
    assert run[: len(gate.suites_of("check"))] == gate.suites_of("check")


def test_counts_are_those_of_the_report(tmp_path: Path) -> None:
    """Failures and errors count as failed, skipped tests as neither passed nor failed."""
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="1"/></testsuites>')
    assert gate.counts(report) == (5, 3)


def test_what_is_imported_is_compiled_once(tmp_path: Path, monkeypatch) -> None:
    """An image that forbids to write byte code, as many do, does not have each process of a suite compile it again."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert gate.run("told", [sys.executable, "-c", "import sys; sys.exit(sys.dont_write_bytecode)"], tmp_path) == 0


CHANCE = """
from pathlib import Path
def test_chance():
    runs = Path(__file__).with_name("runs")
    runs.write_text((runs.read_text() if runs.exists() else "") + "x")
    assert len(runs.read_text()) in {passing}
"""


@pytest.mark.parametrize(("passing", "unsteady"), [("(2, 3, 4)", 1), ("(2, 3)", 0), ("()", 0)])
def test_what_passes_alone_each_time_was_chance(tmp_path: Path, monkeypatch, passing: str, unsteady: int) -> None:
    """A test that failed and then passes three times alone is unsteady; one that fails again has failed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    test = tmp_path / "test_chance.py"
    test.write_text(CHANCE.format(passing=passing))
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "pytest", "-q", str(test), "-o", f"cache_dir={cache}"]
    assert gate.run("chance", command, tmp_path) == 1
    (failing,) = gate.failing_of(cache)
    assert failing.endswith("test_chance.py::test_chance")
    share = gate.Share("chance", 0, 1, 0.0, frozenset({f"{test}::test_chance"}))
    assert len(gate.run_again([share])) == unsteady


def test_nothing_is_run_again_where_more_is_wrong() -> None:
    """Many failures are no chance, and neither is a suite that failed without saying which test."""
    many = gate.Share("many", 0, 4, 0.0, frozenset("abcd"))
    silent = gate.Share("silent", 0, 1, 0.0)
    one = gate.Share("one", 0, 1, 0.0, frozenset("a"))
    assert gate.run_again([many]) == gate.run_again([silent]) == gate.run_again([silent, one]) == frozenset()


def test_nothing_outlives_its_suite(tmp_path: Path) -> None:
    """What a suite started and forgot is ended with it."""
    file = tmp_path / "pid"
    child = f"import subprocess; p = subprocess.Popen(['sleep', '60']); open({str(file)!r}, 'w').write(str(p.pid))"
    assert gate.run("a suite", [sys.executable, "-c", child], tmp_path) == 0
    deadline = time.monotonic() + 60
    while running(int(file.read_text())):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_what_a_part_says_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its words stand under its heading once it is done, its status is told, and its files lie in its folder."""
    child = "import sys, tempfile; print(tempfile.mkdtemp()); sys.exit(3)"
    assert gate.run("a suite", [sys.executable, "-c", child], tmp_path) == 3
    heading, made = capsys.readouterr().out.split("\n")[1:3]
    assert heading == "== a suite" and made.startswith(f"{tmp_path}/")


def running(pid: int) -> bool:
    """Whether this process is there and has not ended; one that nobody has waited for yet has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a file that vanishes while it is read
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_missing_python_is_said() -> None:
    """Without a fitting interpreter the set-up fails, and prints the line that installs one."""
    command = ["sh", "scripts/find_python.sh", "no-such-python"]
    result = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "apt-get install python3.11 python3.11-venv" in result.stderr


def test_targets_are_the_known_ones() -> None:
    """`make help` lists exactly the targets that a contributor needs, and each is there."""
    makefile = (tree.ROOT / "Makefile").read_text()
    assert re.findall(r"^\t@echo 'make (\w+)", makefile, re.MULTILINE) == TARGETS
    assert [target for target in TARGETS if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_ci_runs_the_same_gate() -> None:
    """CI runs `make test` and nothing else."""
    assert "\nmake test" in (tree.ROOT / ".ci" / "run").read_text()
