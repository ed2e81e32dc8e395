"""What is shipped is what is in the tree, and the core stands on its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from tests.tidy import tree

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = ("aiohttp", "asyncpg", "cyclopts", "rich", "pytest", "hypothesis")
ALONE = """
import sys
sys.modules |= dict.fromkeys({extras!r})
import tieout.errors, tieout.identity, tieout
for name in getattr(tieout, "__all__", ()):
    getattr(tieout, name)
"""


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    """Every file below src/tieout is in the wheel, SQL and the mark of a typed package included."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=tree.ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tieout/")}
    assert shipped == {str(path.relative_to(tree.ROOT / "src")) for path in tree.walk(tree.PACKAGE)}
    assert "tieout/py.typed" in shipped


def test_the_core_needs_no_extra() -> None:
    """`import tieout`, and every public name, works with only the core's dependencies installed."""
    subprocess.run([sys.executable, "-c", ALONE.format(extras=EXTRAS)], cwd=tree.ROOT, check=True)
