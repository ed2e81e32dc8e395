"""What reading a PostgreSQL server's answers costs the machine."""

from __future__ import annotations

import subprocess
import sys


def test_a_small_answer_is_read_into_memory_that_is_there(postgres):
    """The kernel is asked for none; and a long answer comes whole."""
    command = [sys.executable, "-m", "tests.database.reads", postgres.url()]
    pages, length = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert float(pages) < 0.1
    assert length == "3000000"
