"""The gate: `gate.py check` runs the linters and the fast suites, `gate.py test` those and every other suite.

A suite is a folder of tests/, run as a pytest of its own; some run beside each other, the longest first. Each keeps its
files and those of its servers in a folder of its own, in memory where there is room, which is deleted behind it.
Everything runs, whatever fails before it. A few tests that failed are run again with the machine to themselves: what
then passes each time is *unsteady*, which is told at the end and fails nothing. Last stand the seconds that each part
took, and one line that counts tests and linters together.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Lock
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

LINTERS = {
    "types": ["mypy", "--strict", "src"],
    "format": ["ruff", "format", "--check"],
    "lint": ["ruff", "check"],
    "layers": ["lint-imports"],
}
FAST = ("tidy", "unit")
COMPUTING = (
    "kill",
    "process",
    "recon_simulation",
    "mirror_simulation",
    "server",
    "sessions",
    "once",
    "simulation",
    "cli",
    "mutants",
    "interleavings",
    "blocking",
    "logins",
    "examples",
    "alarm",
    "docs",
    "testing",
    "coordination",
    "alembic",
)
WAITING = (
    "demo",
    "spark",
    "mirror",
    "recon",
    "feeds",
    "database",
    "messages",
    "browser",
    "channels",
    "ha",
    "recon_kill",
    "mirror_kill",
    "hotels",
    "disk",
    "proxy",
    "clock",
    "conflicts",
)
"""Suites that wait more than they compute: for clocks, for brokers and servers to die. In both lists, longest first."""

BESIDE = 3
"""Parts that run at a time: two begin with what computes, one with what waits, and each goes on with what is left.

With a fourth, services of the demo took seven seconds to start, longer than what they show has time for. When all that
computes is done there is one more: without it the machine is idle for a third of the rest.
"""

SUITE_SECONDS = 720
"""Longest that one suite may take: far more than any needs, and less than the whole may take."""

MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes of memory that have to be free for what suites keep on disk otherwise: several times as much as they need.

Most of what a suite with servers waits for is its disk, and no suite needs one: those that cut the power imitate it.
"""

UNSTEADY = 3
"""Most tests that are run again; where more fail, it was not chance."""

AGAIN = 3
"""Times that a test has to pass alone after it failed beside others."""

ON_DISK = frozenset({"cli"})
"""Suites whose files lie on disk all the same: `tieout doctor` refuses a database in memory."""

SLOWING = frozenset({"PYTHONDONTWRITEBYTECODE"})
"""Settings of an image or a shell that are left behind: each process of a suite would compile all that it imports."""

PRINTING = Lock()
RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Share:
    """What one part came to."""

    name: str
    passed: int
    failed: int
    seconds: float
    failing: frozenset[str] = frozenset()
    """Node ids of the tests that failed, as far as pytest could tell them."""


Parts = Iterator[Callable[[], Share]]
"""Linters and suites that are still to be run, in their order."""


def main(what: str) -> int:
    """Run the gate; return the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has had Ctrl-C ignored
    began = time.monotonic()
    suites = suites_of(what)
    linters = [partial(run_linter, name, command) for name, command in LINTERS.items()]
    computing = [partial(run_suite, name) for name in suites if name not in WAITING]
    waiting = [partial(run_suite, name) for name in suites if name in WAITING]
    shares = run_beside(iter(linters + computing), iter(waiting))
    unsteady = run_again(shares)
    print("\nshares of the time:")
    for share in sorted(shares, key=lambda share: -share.seconds):
        verdict = f"{share.failed} failed" if share.failed else "ok"
        print(f"  {share.name:<18}{share.seconds:7.1f} s{share.passed:7d} passed   {verdict}")
    print(f"  {'all':<18}{time.monotonic() - began:7.1f} s\n")
    for test in sorted(unsteady):
        print(f"unsteady, it failed once and then passed {AGAIN} times: {test}")
    failed = sum(share.failed for share in shares) - len(unsteady)
    told = f", {len(unsteady)} unsteady" if unsteady else ""
    print(f"{sum(share.passed for share in shares)} passed, {failed} failed{told}")
    return 1 if failed else 0


def run_again(shares: list[Share]) -> frozenset[str]:
    """The tests that failed, if they are few and each passes alone every time; none where anything else failed too."""
    failing = frozenset().union(*(share.failing for share in shares))
    if not 0 < len(failing) == sum(share.failed for share in shares) <= UNSTEADY:
        return frozenset()
    command = [sys.executable, "-m", "pytest", "-q", *sorted(failing)]
    for _ in range(AGAIN):
        with folder_of_its_own(None) as folder:
            if run(f"again, alone: {' '.join(sorted(failing))}", command, folder) != 0:
                return frozenset()
    return failing


def run_beside(computing: Parts, waiting: Parts) -> list[Share]:
    """Run parts beside each other; Ctrl-C ends them and all that they have started."""
    computed = Event()

    def run_what_waits_later() -> list[Share]:
        computed.wait()
        return run_all(waiting)

    with ThreadPoolExecutor(BESIDE + 1) as pool:
        others = [pool.submit(run_all, computing, told_at_its_end(computed), waiting) for _ in range(BESIDE - 1)]
        lanes = [*others, pool.submit(run_all, waiting, computing), pool.submit(run_what_waits_later)]
        try:
            return [share for lane in lanes for share in lane.result()]
        except KeyboardInterrupt:
            for parts in (computing, waiting):
                list(parts)  # nobody takes any more
            for process in list(RUNNING):
                end_group(process)
            raise
        finally:
            computed.set()


def told_at_its_end(reached: Event) -> Parts:
    """No parts: whoever comes so far has nothing left of the list before."""
    reached.set()
    yield from ()


def run_all(*lists: Parts) -> list[Share]:
    """Run one part after the other; those who share a list take each of its parts once."""
    return [part() for parts in lists for part in parts]


def suites_of(what: str) -> list[str]:
    """The folders of tests/ to run, in order: the fast ones first, and those that no list names last."""
    there = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    if what == "check":
        return [name for name in FAST if name in there]
    named = [*FAST, *COMPUTING, *WAITING]
    return [*(name for name in named if name in there), *sorted(there - set(named))]


def run_linter(name: str, command: list[str]) -> Share:
    """Run one linter over the whole tree."""
    started = time.monotonic()
    with folder_of_its_own(None) as folder:
        status = run(name, [str(BIN / command[0]), *command[1:]], folder)
    return Share(name, int(status == 0), int(status != 0), time.monotonic() - started)


def run_suite(name: str) -> Share:
    """Run one folder of tests; a suite that ran no test has failed."""
    started = time.monotonic()
    with folder_of_its_own(None if name in ON_DISK else ground()) as folder:
        report, cache = folder / "report.xml", folder / "cache"
        where = [f"tests/{name}", f"--basetemp={folder / 'tests'}", f"--junitxml={report}", "-o", f"cache_dir={cache}"]
        status = run(f"tests/{name}", [sys.executable, "-m", "pytest", "-q", *where, "--durations=3"], folder)
        passed, failed = counts(report) if report.exists() else (0, 0)
        failing = failing_of(cache)
    if status != 0:
        failed = max(failed, 1)
    return Share(name, passed, failed, time.monotonic() - started, failing)


@contextmanager
def folder_of_its_own(where: Path | None) -> Iterator[Path]:
    """A folder for a part's files and those of its servers, deleted behind it."""
    with tempfile.TemporaryDirectory(prefix="tieout-", dir=where, ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)  # servers run as users of their own
        yield folder


def ground() -> Path | None:
    """Where suites keep their files: in memory if there is room, else where this machine has such files."""
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM and free_memory() > 2 * ROOM
    return MEMORY if is_roomy else None


def free_memory() -> int:
    """Bytes that may still be used, as far as the kernel tells it."""
    told = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return next((int(words[1]) << 10 for words in told if words[0] == "MemAvailable:"), 0)


def run(heading: str, command: list[str], folder: Path) -> int:
    """Run a command in a process group of its own, so that nothing which it started outlives it.

    `folder` is for its files. What it says is printed when it is done.
    """
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in SLOWING} | {"TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    RUNNING.add(process)
    late = ""
    try:
        status = process.wait(SUITE_SECONDS)
    except subprocess.TimeoutExpired:
        status, late = 1, f"stopped: not done after {SUITE_SECONDS} s\n"
    finally:
        RUNNING.discard(process)
        end_group(process)
    with PRINTING:
        print(f"\n== {heading}\n{said.read_text(errors='replace')}{late}", flush=True)
    return status


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


def failing_of(cache: Path) -> frozenset[str]:
    """Node ids of the tests that failed in a run of pytest with this cache."""
    failed = cache / "v" / "cache" / "lastfailed"
    return frozenset(json.loads(failed.read_text())) if failed.exists() else frozenset()


if __name__ == "__main__":
    if sys.argv[1:] not in (["check"], ["test"]):
        sys.exit("usage: gate.py check|test")
    sys.exit(main(sys.argv[1]))
