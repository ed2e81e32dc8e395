"""Nodes of a play that follow both sources: each a child, forked from a process that has imported everything."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tieout.recon.live
import tieout.recon.probing
import tieout.recon.watching
from tests.kill.ground import connected
from tests.kill.points import DeadlyDatabase, Points
from tests.mirror_kill.nodes import Child, NthPoints, Tell
from tests.recon_kill.sources import TABLES, Sources, rows
from tests.recon_kill.stories import Story
from tieout import App
from tieout.database import connect
from tieout.feeds import Feed, Position, Told
from tieout.recon import reached, same, side

GRACE = 0.5
SETTLING = 45.0
"""Seconds that everything may take to be judged, on a busy machine."""

OPEN = "SELECT record_key, outcome FROM tieout_recon_break WHERE state = 'open'"
DUE = "SELECT count(*) FROM tieout_recon_fact WHERE due IS NOT NULL"
GAPS = "SELECT count(*) FROM tieout_recon_feed WHERE gap IS NOT NULL"
PHASES = "SELECT count(*) FROM tieout_recon_rule WHERE phase <> 'live'"


class Play(NamedTuple):
    """What all nodes of a play know: the book's URL, the sources, the story, its first key and its time."""

    url: str
    sources: Sources
    story: Story
    base: int
    done: str
    ours: Sequence[tuple[str, str]] = ()


class DeadlyFeed:
    """A feed whose calls are points: opened, told something, confirmed."""

    def __init__(self, inner: Feed, name: str, points: Points) -> None:
        self._inner, self._name, self._points = inner, name, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def open(self, after: Position | None = None) -> Position:
        self._points.at(f"before open {self._name}")
        position = await self._inner.open(after)
        self._points.at(f"after open {self._name}")
        return position

    async def take(self, most: int = 100) -> Sequence[Told]:
        told = await self._inner.take(most)
        self._points.at(f"after take {self._name}")
        return told

    async def confirm(self, position: Position) -> None:
        self._points.at(f"before confirm {self._name}")
        await self._inner.confirm(position)
        self._points.at(f"after confirm {self._name}")


def app_of(play: Play, database: Any, points: Points) -> App:
    """An App with the rule between both sources."""
    app = App(play.url, database=database, sweep=False, migrate=False)
    sides = [
        side(url, table=table, key="id", when=reached("state", {"done"}), at="done")
        for url, table in zip(play.sources.urls, TABLES, strict=True)
    ]
    app.rule("pairs", upstream=sides[0], downstream=sides[1], agree=[same("sku"), same("cost")], grace=GRACE)
    for number, url in enumerate(play.sources.urls):

        def feed(columns: Mapping[str, Sequence[str]], number: int = number) -> Any:
            return DeadlyFeed(play.sources.feed(number, columns), TABLES[number], points)

        app.recon.feed(url, slot=TABLES[number], feed=feed)
    return app


def judged(sources: Sources) -> dict[str, str]:
    """The breaks that there are, by plain queries."""
    sql = "SELECT id, sku, cost FROM {} WHERE state = 'done'"
    found: list[dict[str, list[Any]]] = [{}, {}]
    for number, table in enumerate(TABLES):
        for key, *values in sources.rows(number, sql.format(table)):
            found[number].setdefault(f'["{key}"]', []).append(values)
    ours, theirs = found
    breaks = {}
    for key in ours.keys() | theirs.keys():
        one, other = ours.get(key, []), theirs.get(key, [])
        if max(len(one), len(other)) > 1:
            breaks[key] = "duplicate"
        elif not (one and other):
            breaks[key] = "missing" if one else "orphan"
        elif one != other:
            breaks[key] = "differs"
    return breaks


class Node:
    """Follows, does what the story says, and ends when all is judged."""

    def __init__(self, play: Play, points: Points) -> None:
        self.play_, self.points = play, points
        self.database = DeadlyDatabase(connect(play.url), points)
        self.app = app_of(play, self.database, points)

    async def play(self, tell: Tell) -> None:
        async with self.app:
            self.points.counting = True
            watching = self.app.recon.watching()
            following = asyncio.create_task(watching.watch_forever())
            await self._until_judged(following)
            for name, act in self.play_.story.acts.items():
                self.points.at(f"before {name}")
                await asyncio.to_thread(act, self.play_.sources, self.play_.base, self.play_.done)
                self.points.at(f"after {name}")
                await self._until_judged(following)
            tell({"passed": self.points.passed})
            # What would be closed now is left open: the next one takes over as from one that has died.
            os._exit(0)

    async def _until_judged(self, following: asyncio.Task[None]) -> None:
        ends = time.monotonic() + SETTLING
        while wrong := await asyncio.to_thread(self._wrong):
            if following.done():
                following.result()
            if time.monotonic() > ends:
                raise TimeoutError(f"what is told is not what there is: {wrong}")
            await asyncio.sleep(0.05)

    def _wrong(self) -> str:
        found = [rows(connected(self.play_.url), sql) for sql in (GAPS, PHASES, DUE, OPEN)]
        told, there = dict(found[3]), judged(self.play_.sources)
        has_begun = rows(connected(self.play_.url), "SELECT count(*) FROM tieout_recon_rule") != [(0,)]
        if not has_begun or any(counted[0][0] for counted in found[:3]) or told != there:
            return f"gaps, phases, due: {found[:3]}; told {told}, and there is {there}"
        return ""


def hurry() -> None:
    """Let pauses be short, so that a play is."""
    tieout.recon.watching.STANDBY_EVERY = 0.1
    tieout.recon.watching.AGAIN = (0.1, 1.0)
    tieout.recon.live.CONFIRM_EVERY = 0.2


def live(play: Play, deadly: tuple[str, int] | None) -> Child:
    """A node in a child, which dies at a point."""

    def run(tell: Tell, _hears: int) -> None:
        hurry()
        asyncio.run(Node(play, NthPoints(deadly, tell)).play(tell))

    return Child(run)


def warm_up(play: Play) -> None:
    """Read every statement, so that no child has to."""
    Node(play, Points(None, lambda _: None))
    gc.collect()
    gc.freeze()
