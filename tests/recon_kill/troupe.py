"""Plays shared out over processes, each with databases of its own: a log is of a whole server, and is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.feeds.sources import mariadb_server, postgres_server
from tests.kill.troupe import scratch
from tests.prove.kills import Share, together
from tests.recon_kill.campaign import Tally, Theatre, course_of, opened, tallies
from tests.recon_kill.stories import STORIES

SERVERS = {"postgres": postgres_server, "mysql": mariadb_server}
DIALECTS = ("sqlite", *SERVERS)


@dataclass(frozen=True)
class Part:
    """Some plays of stories on one kind of database."""

    dialect: str
    stories: tuple[str, ...]
    share: Share
    folder: str

    def __str__(self) -> str:
        return self.dialect


@contextmanager
def theatre_of(dialect: str, folder: Path) -> Iterator[Theatre]:
    """A theatre with a server of its own, if its dialect needs one."""
    server: Any = SERVERS[dialect]() if dialect in SERVERS else None
    try:
        if server is not None:
            server.create()
        with opened(dialect, server, folder) as theatre:
            yield theatre
    finally:
        if server is not None:
            server.remove()


def played(part: Part) -> tuple[Part, Tally]:
    """Play it here."""
    whole = Tally()
    with theatre_of(part.dialect, Path(part.folder)) as theatre:
        for story in (story for story in STORIES if story.name in part.stories):
            tally, course = course_of(theatre, story)
            whole.add(tally)
            for tally in tallies(theatre, story, part.share, course):
                whole.add(tally)
    return part, whole


def tried(
    dialects: Sequence[str], stories: Sequence[str], share: Share, jobs: int, parts: int
) -> Iterator[tuple[Part, Tally]]:
    """What each part of the work comes to, as it is done, in `jobs` processes."""
    with scratch() as folder:
        work = [
            Part(dialect, tuple(stories), replace(share, part=part, parts=parts), str(folder / f"{dialect}-{part}"))
            for part in range(parts)
            for dialect in dialects
        ]
        yield from together(played, work, jobs)
