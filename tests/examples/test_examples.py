"""Each example works as it stands: copied somewhere else, it passes its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgres import FAST, Postgres

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TESTS = "-q -W error -p no:cacheprovider"
LIMIT = 120
"""Seconds for the tests of one example: far more than any needs."""


def run_tests(example: str, folder: Path, **settings: str) -> None:
    """Copy an example and run the tests beside it, with these settings in its environment."""
    copy = folder / example
    shutil.copytree(EXAMPLES / example, copy, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    command = [sys.executable, "-m", "pytest", *TESTS.split()]
    done = subprocess.run(
        command, cwd=copy, env=os.environ | settings, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.fixture(scope="module")
def postgres():
    server = Postgres(**FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


NEEDS_POSTGRESQL = {"flask_psycopg"}
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("example", [name for name in NAMES if name not in NEEDS_POSTGRESQL])
def test_an_example_passes_its_tests(example, tmp_path):
    """Alone in a folder, on SQLite where it wants a database."""
    run_tests(example, tmp_path)


@pytest.mark.parametrize("example", ["django_points", "fastapi_sqlalchemy", *sorted(NEEDS_POSTGRESQL)])
def test_an_example_passes_its_tests_on_postgresql(example, tmp_path, postgres):
    """The services and their transactions are the same on PostgreSQL."""
    run_tests(example, tmp_path, POINTS_DB=postgres.url(postgres.database()))
