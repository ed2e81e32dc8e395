"""Databases on a disk with little room, and what fills it up and makes room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.servers.mariadb import FAST as MARIADB_FAST
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres
from tieout import App

MEGABYTES = {"sqlite": 4, "postgres": 24}
"""Size of each disk: room for an empty database and a few hundred processes."""


class Small(NamedTuple):
    """A database on a small disk: its URL, and how to use up the room there and to give it back."""

    url: str
    fill: Callable[[App], object]
    free: Callable[[App], object]


@contextmanager
def mounted(folder: Path, megabytes: int, owner: Path) -> Iterator[bool]:
    """Make a folder a small disk of its own, for the owner of another one; False where that is not allowed."""
    stat = owner.stat()
    options = f"size={megabytes}m,uid={stat.st_uid},gid={stat.st_gid},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    is_mounted = os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    """Leave no room on the disk."""
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(b"x" * 4_096):
            pass


def on(url: str, disk: Path) -> Small:
    """A database whose files are on a disk that is small indeed."""
    return Small(url, without_app(partial(fill_up, disk)), without_app((disk / "ballast").unlink))


@contextmanager
def sqlite(folder: Path) -> Iterator[Small]:
    """A file; where nothing can be mounted, it may not grow."""
    url = f"sqlite:///{folder}/shop.db"
    with mounted(folder, MEGABYTES["sqlite"], folder) as is_small:
        if is_small:
            yield on(url, folder)
            return
        yield Small(url, partial(limit_pages, 1), partial(limit_pages, 1_000_000))


def limit_pages(pages: int, app: App) -> None:
    """Let a database have so many pages, or as many as it has already."""
    connection = app.database._committer._session.connection  # noqa: SLF001 - it holds for this connection only
    connection.execute(f"PRAGMA max_page_count = {pages}")


def without_app(act: Callable[[], object]) -> Callable[[App], object]:
    """What needs to know nothing of the App."""
    return lambda _: act()


@contextmanager
def postgres(folder: Path) -> Iterator[Small]:
    """All tables of a database; the server's log is elsewhere. Where nothing can be mounted, a table says so itself."""
    server = Postgres(**FAST)
    disk = server.folder / "disk"
    disk.mkdir()
    try:
        server.create()
        with mounted(disk, MEGABYTES["postgres"], server.data) as is_small:
            server.own(disk)
            space = disk / "space"
            space.mkdir()
            server.own(space)
            server.psql(f"CREATE TABLESPACE small LOCATION '{space}'")
            server.psql("CREATE DATABASE shop TABLESPACE small")
            if is_small:
                yield on(server.url("shop"), disk)
            else:
                yield Small(
                    server.url("shop"), *(without_app(partial(server.psql, sql, "shop")) for sql in POSTGRES_REFUSES)
                )
            server.stop()
    finally:
        server.remove()


@contextmanager
def mariadb(folder: Path) -> Iterator[Small]:
    """A table that says that it is full, as InnoDB does when a file cannot grow.

    A disk that is full indeed ends the server sooner or later: InnoDB gives up when a page that it has room for cannot
    be written. That is a crash like another, and `DatabaseUnavailable` until somebody has started it again.
    """
    server = MariaDB(**MARIADB_FAST)
    try:
        server.create()
        name = server.database()
        yield Small(server.url(name), *(without_app(partial(server.sql, sql, name)) for sql in MARIADB_REFUSES))
    finally:
        server.remove()


# How a table refuses rows as a full disk does, and how it takes them again.
POSTGRES_REFUSES = (
    """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON tieout_process EXECUTE FUNCTION full_disk()
    """,
    "DROP TRIGGER full_disk ON tieout_process",
)
MARIADB_REFUSES = (
    """
    CREATE TRIGGER full_disk BEFORE INSERT ON tieout_process FOR EACH ROW
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'the table is full'
    """,
    "DROP TRIGGER full_disk",
)

DATABASES = {"sqlite": sqlite, "postgres": postgres, "mariadb": mariadb}
