"""What is installed is what is written down."""

from __future__ import annotations

import re
import tomllib

from tests.tidy import tree

PROJECT = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())
LOCK = (tree.ROOT / "requirements.txt").read_text()
CORE_LIMIT = 5
"""`pip install tieout` brings at most this many packages."""


def name(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower()


def wanted() -> set[str]:
    lists = [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"]]
    lists += PROJECT["project"]["optional-dependencies"].values()
    lists += PROJECT["dependency-groups"].values()
    return {name(requirement) for requirements in lists for requirement in requirements} - {"tieout"}


def locked() -> dict[str, str]:
    """Each entry of the lock under its name, hashes included."""
    entries = re.split(r"^(?=\S+==)", LOCK, flags=re.MULTILINE)[1:]
    return {name(entry): entry for entry in entries}


def test_lock_names_everything_that_is_asked_for() -> None:
    """Each dependency of the project, of an extra, of development and of the build has its version in the lock."""
    assert sorted(wanted() - locked().keys()) == []


def test_lock_has_hashes() -> None:
    """Each entry of the lock has at least one hash, so that nothing else can be installed in its place."""
    assert [entry for entry in locked().values() if "--hash=sha256:" not in entry] == []


def test_core_is_small() -> None:
    """The core needs msgspec and nothing else."""
    core = [name(requirement) for requirement in PROJECT["project"]["dependencies"]]
    assert core == ["msgspec"]
    assert len(core) <= CORE_LIMIT


def test_all_means_all() -> None:
    """The extra `all` names every other extra."""
    extras = dict(PROJECT["project"]["optional-dependencies"])
    (everything,) = extras.pop("all")
    assert everything == f"tieout[{','.join(sorted(extras))}]"
