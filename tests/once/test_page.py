"""What the pages about receiving show is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import blocks

TESTS = "pytest -q -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function -p no:cacheprovider"
PAGES = {
    "docs/how-to/receive-once.md": {"prizes.py", "consumer.py"},
    "docs/how-to/take-an-idempotency-key.md": {
        "with_fastapi.py",
        "with_litestar.py",
        "with_flask.py",
        "with_django.py",
    },
}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_works(page: str, tmp_path: Path) -> None:
    """The files that a page shows, written side by side, pass the tests that it shows, one for each at least."""
    names = {file.name for file in blocks.write(page, tmp_path)}
    assert PAGES[page] < names
    tests = sum(name.startswith("test_") for name in names)
    assert f"{tests} passed" in blocks.run(TESTS, tmp_path)
