"""Nothing in the tree depends on one machine or on one registry."""

from __future__ import annotations

import re

import pytest

from tests.tidy import tree

REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("registry", "npmjs", "org"),
    ("registry", "yarnpkg", "com"),
    ("npmmirror", "com"),
    ("deb", "debian", "org"),
    ("security", "debian", "org"),
    ("archive", "ubuntu", "com"),
    ("proxy", "golang", "org"),
    ("crates", "io"),
    ("pypi", "tuna", "tsinghua", "edu", "cn"),
    ("mirrors", "aliyun", "com"),
)
"""In parts, so that this file does not find itself."""

HOST = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES), re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + r"me/\w+")) + r")(?:/|\b)")
SETTING = re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host|^-[if] ", re.MULTILINE)


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{tree.shown(path, number)} {match.group()}"
        for path in tree.text_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (match := pattern.search(line))
    ]


def test_no_registry_host_is_named() -> None:
    """Packages come from wherever the machine is set up to get them: no file names a registry."""
    assert found(HOST) == []


def test_no_machine_path_is_named() -> None:
    """The tree works wherever it is put: no file names a folder of somebody's machine."""
    assert found(MACHINE_PATH) == []


def test_lock_has_no_registry_settings() -> None:
    """requirements.txt holds names, versions and hashes, and no word about where they come from."""
    lock = (tree.ROOT / "requirements.txt").read_text()
    assert SETTING.findall(lock) == []
    assert "://" not in lock


@pytest.mark.parametrize("line", ["see /wo" + "rk/notes", "cd /ro" + "ot", "'/ho" + "me/me/x'", "(/wo" + "rk)"])
def test_machine_paths_are_recognised(line: str) -> None:
    """A path of one machine is found at the start, in the middle and at the end of what stands around it."""
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["/workers", "GET /v1/work/7", "$HOME/x", "src/root.py", "a/home/b"])
def test_other_paths_are_left_alone(line: str) -> None:
    """A path of a URL or inside the tree is no path of a machine."""
    assert not MACHINE_PATH.search(line)
