"""Plays shared out over processes, each with a ground of its own on common servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.kill.troupe import grounds, scratch
from tests.mirror_kill.campaign import Tally, course_of, opened, tallies
from tests.mirror_kill.stories import STORIES
from tests.prove.kills import Share, together


@dataclass(frozen=True)
class Part:
    """Some plays of one story on one kind of database."""

    dialect: str
    story: str
    share: Share
    url: str
    folder: str

    def __str__(self) -> str:
        return f"{self.dialect}, {self.story}"


def played(part: Part) -> tuple[Part, Tally]:
    """Play it here."""
    whole = Tally()
    story = next(story for story in STORIES if story.name == part.story)
    with opened(part.dialect, part.url, Path(part.folder)) as theatre:
        tally, course = course_of(theatre, story)
        if part.share.part == 0:
            whole.add(tally)
        for tally in tallies(theatre, story, part.share, course):
            whole.add(tally)
    return part, whole


def tried(
    dialects: Sequence[str], stories: Sequence[str], share: Share, jobs: int, parts: int
) -> Iterator[tuple[Part, Tally]]:
    """What each part of the work comes to, as it is done, in `jobs` processes."""
    with scratch() as folder, grounds(tuple(dialects)) as servers:
        work = [
            Part(
                dialect,
                story,
                replace(share, part=part, parts=parts),
                "" if server is None else server.url(server.database()),
                str(folder / f"{dialect}-{story}-{part}"),
            )
            for part in range(parts)
            for story in stories
            for dialect, server in servers.items()
        ]
        yield from together(played, work, jobs)
