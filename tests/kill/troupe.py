"""Plays shared out over processes, each with a ground of its own on common servers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kill import lives, migrating
from tests.kill.campaign import Share, Tally, Theatre, tallies
from tests.kill.ground import Ground, ServerGround, SqliteGround, connected
from tests.kill.node import Places
from tests.kill.stories import STORIES
from tests.servers import mariadb, postgres
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres
from tieout import App

SERVERS = {
    "postgres": lambda: Postgres(**postgres.FAST),
    "mysql": lambda: MariaDB(**mariadb.FAST),
}
DIALECTS = ("sqlite", *SERVERS)
MEMORY = Path("/dev/shm")
MIGRATION = "migration"


@dataclass(frozen=True)
class Part:
    """Some plays of one story on one kind of database; of the story `MIGRATION`, kills of a migration."""

    dialect: str
    story: str
    share: Share
    url: str
    folder: str


@contextmanager
def grounds(dialects: tuple[str, ...]) -> Iterator[Mapping[str, Postgres | MariaDB | None]]:
    """The servers of these dialects, started; None for SQLite, which needs none."""
    with ExitStack() as stack:
        servers: dict[str, Postgres | MariaDB | None] = {}
        for dialect in dialects:
            servers[dialect] = server = SERVERS[dialect]() if dialect in SERVERS else None
            if server is not None:
                stack.callback(server.remove)
                server.create()
        yield servers


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, where there is one: nobody cuts the power here."""
    with tempfile.TemporaryDirectory(prefix="tieout-kill-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def played(part: Part) -> tuple[Part, Tally]:
    """Play it here."""
    whole = Tally()
    folder = Path(part.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if part.story == MIGRATION:
        return part, migrating.killed(part.dialect, part.url, folder, part.share)
    with opened(part.dialect, part.url, folder) as theatre:
        story = next(story for story in STORIES if story.name == part.story)
        for tally in tallies(theatre, story, part.share):
            whole.add(tally)
    return part, whole


@contextmanager
def opened(dialect: str, url: str, folder: Path) -> Iterator[Theatre]:
    """A theatre whose tables are made, with its child's world read in."""
    ground: Ground = SqliteGround(folder) if dialect == "sqlite" else ServerGround(dialect, url, connected(url))
    try:
        ground.make(migrated)
        places = Places(folder)
        lives.warm_up(ground.url, places)
        yield Theatre(ground, places)
    finally:
        ground.close()


def migrated(url: str) -> None:
    """Make tieout's tables."""

    async def run() -> None:
        async with App(url, sweep=False, migrate=True):
            pass

    asyncio.run(run())
