"""Runs the tests that are named for a guard on a copy of the sources that lacks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tests.mutants.mutant import ROOT, SOURCE, Mutant

LONGEST = 120
"""Seconds in which a mutant has to be caught."""


class Outcome(NamedTuple):
    """What became of a mutant: `survived` tells why, "" when it was caught."""

    mutant: Mutant
    tests: int
    survived: str


def tried(mutant: Mutant) -> Outcome:
    """Run a mutant's tests; every one that is named has to fail."""
    with copied() as source:
        file = source / mutant.file
        try:
            file.write_text(mutant.applied(file.read_text()))
        except ValueError as error:
            return Outcome(mutant, 0, str(error))
        passed, failed, said = run(source, mutant.tests, mutant.on)
    spared = [test for test in mutant.tests if not any(fits(test, name) for name in failed)]
    why = f"{mutant.name}: not caught by {', '.join(spared)}: {said[-400:]}" if spared else ""
    return Outcome(mutant, len(passed) + len(failed), why)


def together(mutants: Sequence[Mutant], jobs: int) -> Iterator[Outcome]:
    """Try them beside each other, each as it comes to its end."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(tried, one) for one in mutants]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def sound(mutants: Sequence[Mutant]) -> tuple[int, list[str]]:
    """Run the same tests on a copy that nobody has touched: how many there are, and what has failed."""
    count, wrong = 0, []
    with copied() as source:
        for on in sorted({one.on for one in mutants}):
            tests = sorted({test for one in mutants if one.on == on for test in one.tests})
            passed, failed, said = run(source, tests, on, longest=10 * LONGEST)
            count += len(passed) + len(failed)
            wrong += [f"without any mutant: {name} fails" for name in failed]
            missing = [test for test in tests if not any(fits(test, name) for name in passed)]
            wrong += [f"without any mutant: {test} was not run: {said[-400:]}" for test in missing]
    return count, wrong


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the package, with what Python has compiled of it, alone in a folder."""
    with tempfile.TemporaryDirectory(prefix="tieout-mutant-") as folder:
        package = Path(folder) / SOURCE.name
        shutil.copytree(SOURCE, package)
        yield package


def run(package: Path, tests: Sequence[str], on: str, *, longest: float = LONGEST) -> tuple[set[str], set[str], str]:
    """The tests that have passed and those that have failed, each as `file::name`, and the last of what was said."""
    report = package.parent / f"{os.urandom(4).hex()}.xml"
    names = [f"tests/{test}" for test in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *names]
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    process = subprocess.Popen(
        [*command, *(["-k", on] if on else [])],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = ended(process, longest)
    passed, failed = read(report) if report.exists() else (set(), set())
    return passed - failed, failed, said


def ended(process: subprocess.Popen[str], longest: float) -> str:
    """What it says until its end; nothing that it has started is left."""
    try:
        said, _ = process.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        said = f"not done after {longest:.0f} s"
    finally:
        end_group(process.pid)
        process.communicate()
    return said


def end_group(pid: int) -> None:
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        return


def read(report: Path) -> tuple[set[str], set[str]]:
    """Who has passed and who has failed; what went wrong outside a test shows nothing, and counts for neither."""
    passed: set[str] = set()
    failed: set[str] = set()
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest has just written it
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name', '').partition('[')[0]}"
        if case.find("failure") is not None:
            failed.add(name)
        elif case.find("error") is None and case.find("skipped") is None:
            passed.add(name)
    return passed, failed


def fits(test: str, name: str) -> bool:
    """Whether a test that has run is one that is named, be it as a file or as one of its functions."""
    file, _, function = test.partition("::")
    where = f"tests/{file.removesuffix('.py')}/{function}".replace("::", "/").rstrip("/")
    return f"{name.replace('::', '/')}/".startswith(f"{where}/")
