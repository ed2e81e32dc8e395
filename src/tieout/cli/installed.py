"""`tieout version`: what is installed."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version

from tieout.cli.printing import Json, emit, say

PARTS = ("tieout", "msgspec", "asyncpg", "aiohttp", "cyclopts", "rich")
"""Packages whose versions a report of a fault should name."""


def show_versions(*, json: Json = False) -> None:
    """Show the versions of tieout and of what it runs on."""
    found = {name: _version(name) for name in PARTS}
    found |= {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    if json:
        emit(found)
        return
    for name, number in found.items():
        say(f"{name:<10}{number or 'not installed'}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
