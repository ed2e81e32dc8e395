"""`tieout prove`: runs the proofs of the tree that it stands in, and says so where there is none."""

from __future__ import annotations

import subprocess

import pytest

import tieout
from tests.cli.conftest import TIEOUT
from tieout.cli.prove import source_tree
from tieout.errors import ConfigError


def test_without_a_tree_it_says_so(tmp_path, monkeypatch):
    """Installed as a package, outside a clone, nothing is run and the reason is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tieout, "__file__", str(tmp_path / "site-packages" / "tieout" / "__init__.py"))
    with pytest.raises(ConfigError, match="source tree"):
        source_tree()


def test_the_clone_at_hand_comes_first(tmp_path, monkeypatch):
    """Inside a clone, that one is proved, whichever the installed package came from."""
    inner = tmp_path / "docs"
    for folder in (inner, tmp_path / "tests" / "prove", tmp_path / "src" / "tieout"):
        folder.mkdir(parents=True)
    (tmp_path / "tests" / "prove" / "__main__.py").touch()
    monkeypatch.chdir(inner)
    assert source_tree() == tmp_path


def test_it_hands_over_to_the_runner(tmp_path):
    """The command becomes the tree's runner: its words, its exit status."""
    done = subprocess.run([TIEOUT, "prove", "nonsense"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no kind of proof: these are simulation, " in done.stderr
