"""Type checkers see what the engine would refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).with_name("api.py")
REFUSED = {number for number, line in enumerate(API.read_text().splitlines(), 1) if "# refused:" in line}


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def mypy() -> set[int]:
    lines = run("mypy", "--strict", "--no-error-summary", "--no-incremental", "--show-column-numbers", str(API))
    found = [line.split(":", 4) for line in lines.splitlines() if ": error:" in line]
    assert {Path(part[0]).name for part in found} == {API.name}, lines
    return {int(part[1]) for part in found}


def pyright(tmp_path: Path) -> set[int]:
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(API)], "typeCheckingMode": "standard", "pythonVersion": "3.11"}))
    report = json.loads(run("basedpyright", "--outputjson", "--project", str(settings), "--pythonpath", sys.executable))
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1 for one in found}


def test_mypy_accepts_and_refuses_what_it_must() -> None:
    """Mypy --strict reports exactly the lines that are wrong: arguments, finals, queries, params, sources."""
    assert mypy() == REFUSED


def test_pyright_accepts_and_refuses_what_it_must(tmp_path: Path) -> None:
    """Pyright agrees with mypy on every line."""
    assert pyright(tmp_path) == REFUSED


@pytest.mark.parametrize("number", sorted(REFUSED))
def test_each_refusal_has_its_reason(number: int) -> None:
    """A line that is refused says what is wrong with it."""
    assert API.read_text().splitlines()[number - 1].partition("# refused: ")[2]
