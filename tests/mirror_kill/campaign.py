"""Kills of a node at every point of a story, and what the other node makes of it, counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kill.troupe import migrated
from tests.mirror_kill.auditor import Evidence, violations
from tests.mirror_kill.copied import ITEMS
from tests.mirror_kill.ground import Ground, ground_of
from tests.mirror_kill.nodes import Life, Places, differences, live, warm_up
from tests.mirror_kill.stories import HOTELS, STORIES, Story
from tests.mirror_kill.truth import Truth
from tests.prove.kills import Kills, Point, Share

EMPTY, LOADED = "empty", "loaded"

LEASE = b"mirror/rooms/acme"

OCCASIONS = 6
"""Times that a point of one name is tried: the later ones are of the same rounds again."""

TRIES = 3
"""Plays of one point until it counts as one that does not come again."""


@dataclass
class Tally(Kills):
    """What plays have come to."""

    REQUIRED = (
        *("renew_lease", "take_lease", "take_token", "stop_budgets", "move_budget", "add_group", "add_item"),
        *("write_cells", "write_checks"),
        *("note_catalogue", "add_sighting", "advance_head", "take_out", "post", "add_doubt", "clear_doubt"),
        *("add_suspect", "take_in", "change_group", "bring_item", "remove_group", "remove_item", "advance_stream"),
        *("COMMIT", "fetch", "catalogue", "check", "push full"),
    )

    latest: float = 0.0
    """The longest that another one took over after a lease, in seconds."""

    def add(self, other: Tally) -> None:
        super().add(other)
        self.latest = max(self.latest, other.latest)

    def missing(self) -> list[str]:
        """Points at which nobody was killed, and required ones that did not come."""
        return [f"{name} (spared)" for name in sorted(self.passed - self.killed)] + super().missing()

    def more(self) -> Mapping[str, Any]:
        return {"latest_takeover_seconds": round(self.latest, 3)}


class Theatre:
    """One ground on which one story is played at a time."""

    def __init__(self, ground: Ground, places: Places) -> None:
        self.ground = ground
        self.places = places

    def prepare(self) -> None:
        """Keep the database with an empty copy, and with one that was loaded."""
        self.ground.save(EMPTY)
        Truth.plain(HOTELS).save(self.places.truth)
        self.places.clear()
        node = live("first", self.ground.url, self.places, STORIES[0], deadly=None, waits=False)
        life = node.ended()
        if life.error:
            raise RuntimeError(f"the copy was not loaded: {life.error}")
        self.ground.run("UPDATE tieout_lease SET until = 0, fence = 0")
        self.ground.save(LOADED)

    def play(self, story: Story, point: Point | None) -> tuple[Tally, Life]:
        """Play it once, with the first node killed at a point, and the other one going on."""
        truth = self._set(story)
        first = live("first", self.ground.url, self.places, story, deadly=point, waits=False)
        first.until_it_leads()
        other = live("other", self.ground.url, self.places, story, deadly=None, waits=True)
        life = first.ended()
        died, (until, _) = time.monotonic(), self._lease()
        other.say_over()
        lives = [life, other.ended()]
        left = differences(truth, self.ground.rows(ITEMS))
        evidence = Evidence(self.places.noted(), died, until, self._lease()[1], left)
        return self._judged(story, point, lives, evidence), life

    def _set(self, story: Story) -> Truth:
        self.ground.put_back(LOADED if story.is_loaded else EMPTY)
        self.places.clear()
        truth = Truth.plain(HOTELS)
        story.change(truth)
        truth.save(self.places.truth)
        if story.has_new_catalogue:
            self.ground.run("UPDATE tieout_mirror SET catalogued = 0")
        return truth

    def _lease(self) -> tuple[int, int]:
        """Until when the lease is of the node that has died, 0 when it has none; and how often it was taken."""
        holders = {one["node"]: one["holder"] for one in self.places.noted() if one["what"] == "born"}
        rows = self.ground.rows("SELECT name, holder, until, fence FROM tieout_lease")
        held = [(holder, until, fence) for name, holder, until, fence in rows if bytes(name) == LEASE]
        until = sum(until for holder, until, _ in held if holder == holders["first"])
        return until, max((fence for *_, fence in held), default=0)

    def _judged(self, story: Story, point: Point | None, lives: Sequence[Life], evidence: Evidence) -> Tally:
        where = (
            f"{self.ground.dialect}, {story.name}, killed at {point.nth if point else 0} {point.name if point else ''}"
        )
        tally = Tally(passed=set(lives[0].passed))
        killed_at = lives[0].killed_at
        if killed_at is not None:
            tally.killed.add(killed_at)
            tally.passed.add(killed_at)
        tally.counts["kills"] = int(killed_at is not None)
        tally.counts["plays"] = 1
        tally.counts["acts done again"] = sum(
            one["what"] == "done" and one["node"] == "other" for one in evidence.notes
        )
        tally.counts["queries"] = sum(one["what"] == "asked" for one in evidence.notes)
        taken = [one["server"] for one in evidence.notes if one["what"] == "leads" and one["node"] == "other"]
        if evidence.lease_until and taken:
            tally.counts["taken over at the end of a lease"] = 1
            tally.latest = (taken[0] - evidence.lease_until) / 1_000_000
        tally.violations = [f"{where}: {life.error}" for life in lives if life.error]
        tally.violations += [f"{where}: {what}" for what in violations(evidence)]
        return tally


def tallies(theatre: Theatre, story: Story, share: Share, course: Sequence[str]) -> Iterator[Tally]:
    """What each play of a story comes to: killed at each of its points, in their order."""
    for point in share.of(course, OCCASIONS, f"{story.name} {theatre.ground.dialect}"):
        for _ in range(TRIES):
            tally, life = theatre.play(story, point)
            yield tally
            if life.killed_at is not None:
                break
        else:
            yield Tally(counts=Counter({"points that did not come again": 1}))


def course_of(theatre: Theatre, story: Story) -> tuple[Tally, list[str]]:
    """The points of a story, by a play in which nobody is killed."""
    tally, life = theatre.play(story, None)
    tally.counts[f"points: {story.name}"] = len(life.passed)
    return tally, life.passed


@contextmanager
def opened(dialect: str, url: str, folder: Path) -> Iterator[Theatre]:
    """A theatre whose tables are made and whose copy is loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    ground = ground_of(dialect, url, folder)
    try:
        migrated(ground.url)
        places = Places(folder)
        warm_up(ground.url, places)
        theatre = Theatre(ground, places)
        theatre.prepare()
        yield theatre
    finally:
        ground.close()
