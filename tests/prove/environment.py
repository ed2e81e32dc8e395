"""What a proof ran on: the commit, and the versions of everything that takes part."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tests.prove.kinds import ROOT
from tests.servers import mariadb, postgres

DRIVERS = ("asyncpg", "psycopg", "asyncmy", "PyMySQL", "aiosqlite", "SQLAlchemy", "Django")


def environment() -> dict[str, Any]:
    """The commit, whether files differ from it, and versions."""
    return {
        "tieout": version_of("tieout"),
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "databases": databases(),
        "drivers": {name: version_of(name) for name in DRIVERS},
    }


def databases() -> dict[str, str]:
    """The versions of the databases that proofs run on; "" for one that is not installed."""
    return {
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": server(postgres.binary, "postgres"),
        "MariaDB": server(mariadb.binary, "mariadbd"),
    }


def server(find: Any, name: str) -> str:
    """What a server's program says of its version, without its own name."""
    try:
        words = said(find(name), "--version").split()
    except RuntimeError:
        return ""
    return next((word.partition("-")[0] for word in words if word[:1].isdigit()), "")


def git(*arguments: str) -> str:
    """What git says of this tree; "" where it says nothing."""
    return said("git", "-C", str(ROOT), *arguments)


def said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version_of(package: str) -> str:
    """The installed version of a package; "" when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
