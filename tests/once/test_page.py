"""What the page about receiving shows is what happens."""

from __future__ import annotations

from pathlib import Path

from tests.docs import blocks

PAGE = "docs/how-to/receive-once.md"
TESTS = "pytest -q -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function -p no:cacheprovider"


def test_the_code_of_the_page_works(tmp_path: Path) -> None:
    """The files that the page shows, written side by side, pass the tests that it shows."""
    files = blocks.write(PAGE, tmp_path)
    assert {"prizes.py", "web.py", "consumer.py"} < {file.name for file in files}
    assert "3 passed" in blocks.run(TESTS, tmp_path)
