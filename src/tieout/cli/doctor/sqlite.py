"""What makes a SQLite file lose data or stall: how it is written, and where it lies."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from tieout.app import App
from tieout.cli.doctor.finding import Check, Finding
from tieout.contracts import Transaction
from tieout.database.sqlite_files import REMOTE, filesystem_of

VOLATILE = frozenset({"ramfs", "tmpfs"})

LAYERED = frozenset({"aufs", "overlay"})

SPACE_NEEDED = 256 * 1024 * 1024
"""Bytes that should be free: room for the log of a busy day, and to notice in time."""


async def sqlite_journal(app: App) -> Finding:
    """Whether the file is in WAL mode, where readers and the writer do not wait for each other."""
    mode = str(await _pragma(app, "journal_mode"))
    found = f"journal mode {mode}, SQLite {sqlite3.sqlite_version}"
    if mode in {"wal", "memory"}:
        return Finding("sqlite-journal", "ok", found)
    return Finding("sqlite-journal", "wrong", found, "move the file to a local disk: tieout sets WAL where it can")


async def sqlite_synchronous(app: App) -> Finding:
    """Whether a commit waits for the disk on tieout's own connections."""
    level = await _pragma(app, "synchronous")
    names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
    found = f"synchronous {names.get(int(level), level)} on tieout's connections"
    if int(level) >= 2:
        return Finding("sqlite-synchronous", "ok", found)
    return Finding("sqlite-synchronous", "wrong", found, "accepted requests would be lost in a power failure")


async def sqlite_filesystem(app: App) -> Finding:
    """Whether the file lies where locks work and where it outlives a restart."""
    path = await _path(app)
    if path is None:
        return Finding("sqlite-filesystem", "note", "in memory: it ends with the process that made it")
    return judge_filesystem(filesystem_of(path))


async def sqlite_space(app: App) -> Finding:
    """Whether the disk has room."""
    path = await _path(app)
    if path is None:
        return Finding("sqlite-space", "note", "in memory")
    return judge_space(shutil.disk_usage(path.parent).free)


def judge_filesystem(kind: str) -> Finding:
    """The verdict on a file system's type."""
    name, found = "sqlite-filesystem", f"the file lies on {kind}"
    if not kind:
        return Finding(name, "note", "this system does not tell which file system the file lies on")
    if kind.startswith(REMOTE):
        return Finding(name, "wrong", f"{found}, a network file system", "move it to a local disk, or use PostgreSQL")
    if kind in VOLATILE:
        return Finding(name, "wrong", f"{found}, which a restart empties", "move it to a disk")
    if kind in LAYERED:
        mend = "put the file on a volume: the writable layer of a container goes with the container"
        return Finding(name, "note", f"{found}, a container's layer", mend)
    return Finding(name, "ok", found)


def judge_space(free: int) -> Finding:
    """The verdict on so many bytes that are free."""
    found = f"{free / 1e9:.1f} GB free"
    if free >= SPACE_NEEDED:
        return Finding("sqlite-space", "ok", found)
    return Finding("sqlite-space", "wrong", found, "make room: a full disk refuses every request")


async def _pragma(app: App, name: str) -> int | str:
    async def work(tx: Transaction) -> int | str:
        row = await tx.fetch_one(f"PRAGMA {name}")
        return "" if row is None else row[0]

    return await app.database.transact(work)


async def _path(app: App) -> Path | None:
    async def work(tx: Transaction) -> str:
        return next((str(row["file"]) for row in await tx.fetch("PRAGMA database_list") if row["name"] == "main"), "")

    file = await app.database.read(work)
    return Path(file) if file else None


CHECKS: tuple[Check, ...] = (sqlite_journal, sqlite_synchronous, sqlite_filesystem, sqlite_space)
"""What is looked at on SQLite."""
