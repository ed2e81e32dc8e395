"""Kills of a node at every point of a story, then of the next one, and what the last one makes of it, counted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tests.kill.ground import connected
from tests.kill.troupe import migrated
from tests.mirror_kill.nodes import Life
from tests.prove.kills import Kills, Point, Share
from tests.recon_kill.nodes import Play, judged, live, warm_up
from tests.recon_kill.sources import MariaDBSources, PostgresSources, Rows, Sources, SqliteSources, rows
from tests.recon_kill.stories import KEYS, STORIES, Story
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

OCCASIONS = 2
"""Times that a point of one name is tried: the later ones are of the same statements again."""

TRIES = 2
"""Plays of one point until it counts as one that does not come again."""

TOLD = ("tieout_evidence", "tieout_alarm_event", "tieout_alarm", "tieout_recon_break", "tieout_recon_fact")
FOLLOWED = ("tieout_recon_rule", "tieout_recon_feed")


@dataclass
class Tally(Kills):
    """What plays have come to."""

    REQUIRED = (
        *("kept_facts", "begin_facts", "write_facts", "add_facts", "pass_feed", "count_rule", "note_breaks"),
        *("mend_break", "raise_alarm", "renew_lease", "take_lease", "activate_rule", "go_live", "note_gap"),
        *("COMMIT", "due_facts", "open points", "take points", "take prizes", "confirm points", "write", "mend"),
    )


class Theatre:
    """A book and two sources, on which one play comes after the other, each with keys of its own."""

    def __init__(self, url: str, sources: Sources) -> None:
        self.url, self.sources = url, sources
        self._plays = 0

    def prepare(self) -> None:
        """Have the rule followed once, so that it is live."""
        self.sources.make()
        warm_up(self._play(STORIES[0]))
        life = self._live(self._play(STORIES[1]._replace(acts={})), None)
        if life.error:
            raise RuntimeError(f"the rule is not live: {life.error}")

    def play(self, story: Story, deadly: Sequence[Point | None]) -> tuple[Tally, list[Life]]:
        """Play it once: each of `deadly` kills a node at its point, and the next one goes on; the last one lives."""
        play = self._play(story)
        lives = [self._live(play, point) for point in deadly]
        lives.append(self._live(play, None))
        tally = Tally(passed={name for life in lives for name in life.passed})
        tally.killed = {life.killed_at for life in lives if life.killed_at is not None}
        tally.passed |= tally.killed
        tally.counts.update(plays=1, kills=sum(life.killed_at is not None for life in lives))
        where = f"{self.sources.dialect}, {story.name}, killed at {[tuple(one) for one in deadly if one]}"
        tally.violations = [f"{where}: {life.error}" for life in lives if life.error]
        tally.violations += [f"{where}: {what}" for what in self._wrong(story)]
        return tally, lives

    def _play(self, story: Story) -> Play:
        """Everything as it was before, and what happens before anybody follows."""
        self.sources.released()
        self._plays += 1
        tables = (*TOLD, *FOLLOWED) if story.begins else TOLD
        for side, table in enumerate(("points", "prizes")):
            self.sources.run(side, f"DELETE FROM {table}")
        self._run(*(f"DELETE FROM {table}" for table in tables), "UPDATE tieout_recon_rule SET totals = '{}'")
        play = Play(self.url, self.sources, story, self._plays * KEYS, _now())
        story.before(self.sources, play.base, play.done)
        if story.loses:
            self.sources.lose(1)
        return play

    def _live(self, play: Play, point: Point | None) -> Life:
        life = live(play, point).ended()
        self.sources.released()
        # The time passes after which another one goes on.
        self._run("UPDATE tieout_lease SET until = 0")
        return life

    def _wrong(self, story: Story) -> list[str]:
        """What is kept and told, beside what there is, as it would be if nobody had died."""
        there = judged(self.sources)
        breaks = self._rows("SELECT record_key, outcome, state FROM tieout_recon_break")
        told = {key: outcome for key, outcome, state in breaks if state == "open"}
        wrong = [] if told == there else [f"told {told}, and there is {there}"]
        alarms = self._rows("SELECT object, state FROM tieout_alarm WHERE kind = 'recon-breaks'")
        still = {what.partition(" ")[2] for what, state in alarms if state == "open"}
        wrong += [] if still == set(there.values()) else [f"alarms of {still}, and there are {set(there.values())}"]
        once = {what.partition(" ")[2] for what, _ in alarms}
        wrong += [] if once >= {"missing", "orphan", "differs", "duplicate"} else [f"only {once} were ever told"]
        if not (story.begins or story.loses):
            # Whoever dies while it loads leaves that to the next one, which finds the same once more.
            twice = self._rows("SELECT body FROM tieout_evidence WHERE count > 1")
            wrong += [f"told twice: {body}" for (body,) in twice]
        gaps = self._rows("SELECT object, state FROM tieout_alarm WHERE kind = 'feed-gap'")
        if story.loses:
            wrong += [] if gaps and {state for _, state in gaps} == {"resolved"} else [f"the gap: {gaps}"]
        else:
            wrong += [f"a gap of {what} that was none" for what, _ in gaps]
        counted = self._rows("SELECT outcome, count(*) FROM tieout_recon_fact GROUP BY outcome")
        ((totals,),) = self._rows("SELECT totals FROM tieout_recon_rule")
        kept = {name: count for name, count in json.loads(totals).items() if count and name != "facts"}
        return wrong + ([] if kept == dict(counted) else [f"counted {kept}, and there are {dict(counted)}"])

    def _rows(self, sql: str) -> Rows:
        return rows(connected(self.url), sql)

    def _run(self, *statements: str) -> None:
        connection = connected(self.url)
        try:
            for statement in statements:
                connection.cursor().execute(statement)
        finally:
            connection.close()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def tallies(theatre: Theatre, story: Story, share: Share, course: Sequence[str]) -> Iterator[Tally]:
    """What each play of a story comes to: killed at each of its points, and the next one at one of its own."""
    what = f"{story.name} {theatre.sources.dialect}"
    points = share.of(course, OCCASIONS, what)
    chance = Random(f"{share.seed} {what} {share.part}")
    for point in points:
        for _ in range(TRIES):
            tally, lives = theatre.play(story, [point, chance.choice(points)])
            tally.counts["killed again"] = int(lives[1].killed_at is not None)
            yield tally
            if lives[0].killed_at is not None:
                break
        else:
            yield Tally(counts=Counter({"points that did not come again": 1}))


def course_of(theatre: Theatre, story: Story) -> tuple[Tally, list[str]]:
    """The points of a story, by a play in which nobody is killed."""
    began = time.monotonic()
    tally, lives = theatre.play(story, [])
    tally.counts[f"points: {story.name}"] = len(lives[0].passed)
    tally.counts["milliseconds undisturbed"] = round((time.monotonic() - began) * 1_000)
    return tally, lives[0].passed


@contextmanager
def opened(dialect: str, server: Any, folder: Path) -> Iterator[Theatre]:
    """A theatre whose tables are made, and whose rule is live."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder}/book.db" if server is None else server.url(server.database())
    migrated(url)
    theatre = Theatre(url, sources_of(server, folder))
    theatre.prepare()
    yield theatre


def sources_of(server: Any, folder: Path) -> Sources:
    """Two sources on a server, or in a folder."""
    if isinstance(server, Postgres):
        return PostgresSources(server)
    return MariaDBSources(server) if isinstance(server, MariaDB) else SqliteSources(folder)
