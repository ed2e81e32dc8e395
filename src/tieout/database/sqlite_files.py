"""What can be wrong with the file of a SQLite database, told before it hurts."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from pathlib import Path

from tieout.database.sqlite_errors import from_sqlite
from tieout.errors import ConfigError, DatabaseFull, DatabaseUnavailable, TieoutError

log = logging.getLogger("tieout.database")

CHUNK = 1_048_576
"""Bytes that are written anew at a time."""

MOUNTS = Path("/proc/mounts")

REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.gluster")
"""File systems, by the start of their type, whose locks and shared memory SQLite cannot trust."""


def cannot_open(path: Path | None, error: sqlite3.Error) -> TieoutError:
    """The error to raise when a database could not be opened: whose fault it is decides the kind."""
    if path is None:
        return from_sqlite(error, "cannot open a database in memory")
    if not path.parent.is_dir():
        return ConfigError(f"the folder of the database does not exist: {path.parent}")
    if path.is_dir():
        return ConfigError(f"the database is a folder: {path}")
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
        return ConfigError(f"this is not a SQLite database: {path}")
    return from_sqlite(error, f"cannot open {path}")


def warn_if_remote(path: Path, mounts: Path = MOUNTS) -> None:
    """Log a warning when the file lies on a network file system, where that can be told."""
    kind = filesystem_of(path, mounts)
    if kind.startswith(REMOTE):
        log.warning("%s is on a network file system (%s): SQLite may lose or damage data there", path, kind)


def filesystem_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds `path`, or "" where that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    kinds = {fields[1]: fields[2] for line in lines if len(fields := line.split()) > 2}
    folders = (str(folder).replace(" ", "\\040") for folder in path.resolve().parents)
    return next((kinds[folder] for folder in folders if folder in kinds), "")


def write_anew(log: Path) -> None:
    """Make sure that what can be read from the log is on the disk; raise a `DatabaseError` when that fails.

    After a flush that failed, Linux takes what it could not write for written: it can be read until the machine stops,
    and no later flush brings it to the disk. A log that was left by a crash may have such gaps, and all that is
    appended behind one is lost with the power. What has been written anew is flushed anew.
    """
    try:
        with log.open("r+b", buffering=0) as file:
            for offset in range(0, os.fstat(file.fileno()).st_size, CHUNK):
                _write_whole(file.fileno(), os.pread(file.fileno(), CHUNK, offset), offset)
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        kind = DatabaseFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DatabaseUnavailable
        raise kind(f"{log} cannot be flushed: {error}", errno.errorcode.get(error.errno or 0, "")) from error


def _write_whole(descriptor: int, content: bytes, offset: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], offset + written)
