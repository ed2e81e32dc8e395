"""What the pages show is what happens: every block of code is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import blocks

PAGES = (
    "README.md",
    "docs/tutorial/quickstart.md",
    "docs/how-to/test-your-process.md",
    "docs/how-to/wait-for-more.md",
    "docs/how-to/join-your-transaction.md",
    "docs/how-to/mirror-a-supplier.md",
    "docs/how-to/compare-two-systems.md",
    "docs/how-to/encrypt-what-is-stored.md",
)
TESTS = "pytest -q -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function -W error -p no:cacheprovider"
README_LINES = 32


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_works(page: str, tmp_path: Path) -> None:
    """Its files, written side by side, pass their own tests; its commands print what stands below them."""
    files = blocks.write(page, tmp_path)
    for command, output in blocks.commands(page):
        found = blocks.run(command, tmp_path)
        assert blocks.prints(output, found), f"$ {command}\n{found}"
    assert " passed" in blocks.run(TESTS, tmp_path)
    assert any(path.name.startswith("test_") for path in files)


def test_what_the_readme_shows_is_whole(tmp_path: Path) -> None:
    """Each of its files, those that no test of it uses included, names only what there is."""
    shown = ", ".join(path.stem for path in blocks.write("README.md", tmp_path))
    blocks.run(f"python -W error -c 'import {shown}'", tmp_path)


def test_every_block_of_the_quickstart_runs() -> None:
    """The quickstart shows nothing but files that are written and commands that are run."""
    shown = blocks.blocks("docs/tutorial/quickstart.md")
    assert {block.kind for block in shown} == {"python", "console"}


def test_the_first_example_is_short() -> None:
    """The process in the README can be read in a minute."""
    first = next(block for block in blocks.blocks("README.md") if block.kind == "python")
    assert len(first.body.splitlines()) <= README_LINES


def test_the_commands_of_the_readme_exist() -> None:
    """Each `make` that the README names is a target."""
    targets = set(re.findall(r"^(\w+):", (blocks.ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = "".join(block.body for block in blocks.blocks("README.md"))
    named = re.findall(r"^make (\w+)", shown, re.MULTILINE)
    assert named
    assert set(named) <= targets


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/quickstart.md", "docs/how-to/test-your-process.md"])
def test_links_lead_somewhere(page: str) -> None:
    """Every link to a file of this tree finds it."""
    text = (blocks.ROOT / page).read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    assert [target for target in targets if not ((blocks.ROOT / page).parent / target).exists()] == []


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a  b\n", "a b", True),
        ("a … c\n", "a b\nb c\n", True),
        ("3 passed in …s", "3 passed in 0.12s", True),
        ("3 passed in …s", "2 passed in 0.12s", False),
        ("a\n", "a\nb\n", False),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_output_is_told_apart(expected: str, found: str, same: bool) -> None:
    """An ellipsis stands for anything, blanks for blanks; nothing else is overlooked."""
    assert blocks.prints(expected, found) is same
