"""The gate: `gate.py check` runs the linters and the fast suites, `gate.py test` those and every other suite.

A suite is a folder of tests/, run as a pytest of its own; after the fast ones, two run beside each other, the longest
first. Everything runs, whatever fails before it. At the end stand the seconds that each part took, and one line that
counts tests and linters together.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

LINTERS = {
    "format": ["ruff", "format", "--check"],
    "lint": ["ruff", "check"],
    "types": ["mypy", "--strict", "src"],
    "layers": ["lint-imports"],
}
FAST = ("tidy", "unit")
SLOW = (
    "process",
    "simulation",
    "kill",
    "mutants",
    "demo",
    "hotels",
    "server",
    "logins",
    "browser",
    "database",
    "alembic",
    "interleavings",
    "cli",
    "once",
    "sessions",
    "examples",
    "coordination",
    "alarm",
    "messages",
    "channels",
    "mirror",
    "mirror_kill",
    "mirror_simulation",
    "recon",
    "feeds",
    "disk",
    "conflicts",
    "clock",
    "proxy",
    "ha",
)
BESIDE = 2
"""Suites that run at a time: those of servers and of the demo wait more than they compute."""

SUITE_SECONDS = 720
"""Longest that one suite may take: far more than any needs, and less than the whole may take."""

PRINTING = Lock()
RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Share:
    """What one part came to."""

    name: str
    passed: int
    failed: int
    seconds: float


def main(what: str) -> int:
    """Run the gate; return the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has had Ctrl-C ignored
    suites = suites_of(what)
    shares = [run_linter(name, command) for name, command in LINTERS.items()]
    began = time.monotonic()
    shares += [run_suite(name) for name in suites if name in FAST]
    shares += run_beside([name for name in suites if name not in FAST])
    print("\nshares of the time:")
    for share in shares:
        verdict = f"{share.failed} failed" if share.failed else "ok"
        print(f"  {share.name:<12}{share.seconds:7.1f} s{share.passed:7d} passed   {verdict}")
    linters = sum(share.seconds for share in shares[: len(LINTERS)])
    print(f"  {'all':<12}{linters + time.monotonic() - began:7.1f} s\n")
    failed = sum(share.failed for share in shares)
    print(f"{sum(share.passed for share in shares)} passed, {failed} failed")
    return 1 if failed else 0


def run_beside(names: list[str]) -> list[Share]:
    """Run suites, two at a time; Ctrl-C ends them and all that they have started."""
    with ThreadPoolExecutor(BESIDE) as pool:
        try:
            return list(pool.map(run_suite, names))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                end_group(process)
            raise


def suites_of(what: str) -> list[str]:
    """The folders of tests/ to run, in order: the fast ones first, and those that no list names last."""
    there = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    if what == "check":
        return [name for name in FAST if name in there]
    named = [*FAST, *SLOW]
    return [*(name for name in named if name in there), *sorted(there - set(named))]


def run_linter(name: str, command: list[str]) -> Share:
    """Run one linter over the whole tree."""
    started = begin(name)
    status = run([str(BIN / command[0]), *command[1:]])
    return Share(name, int(status == 0), int(status != 0), time.monotonic() - started)


def run_suite(name: str) -> Share:
    """Run one folder of tests, and print what it says when it is done; a suite that ran no test has failed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, said = Path(folder) / "report.xml", Path(folder) / "output"
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{name}", f"--junitxml={report}", "--durations=3"]
        with said.open("wb") as output:
            status = run(command, output)
        passed, failed = counts(report) if report.exists() else (0, 0)
        with PRINTING:
            begin(f"tests/{name}")
            print(said.read_text(errors="replace"), flush=True)
    if status != 0:
        failed = max(failed, 1)
    return Share(name, passed, failed, time.monotonic() - started)


def begin(name: str) -> float:
    """Print a heading; return when this part began."""
    print(f"\n== {name}", flush=True)
    return time.monotonic()


def run(command: list[str], output: IO[bytes] | None = None) -> int:
    """Run a command in a process group of its own, so that nothing which it started outlives it."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    RUNNING.add(process)
    try:
        return process.wait(SUITE_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"stopped: not done after {SUITE_SECONDS} s", flush=True)
        return 1
    finally:
        RUNNING.discard(process)
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the group, the command itself included."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def counts(report: Path) -> tuple[int, int]:
    """The tests that passed and failed; an error outside a test counts as a failure, a skipped test as neither."""
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest has just written it
    tests = failed = skipped = 0
    for suite in suites:
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(tests - failed - skipped, 0), failed


if __name__ == "__main__":
    if sys.argv[1:] not in (["check"], ["test"]):
        sys.exit("usage: gate.py check|test")
    sys.exit(main(sys.argv[1]))
