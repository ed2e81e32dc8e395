"""The two nodes of a play: each is a child, forked from a process that has imported everything."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import tieout.mirror.asking
import tieout.mirror.leading
import tieout.mirror.mirror
from tests.kill.points import DeadlyDatabase, Points
from tests.mirror_kill.copied import DOUBTS, ITEMS, MAIL, SUSPECTS, copy_of
from tests.mirror_kill.stories import Story
from tests.mirror_kill.supplier import Hotels, Log
from tests.mirror_kill.truth import DAYS, Truth
from tieout import App
from tieout.database import connect
from tieout.mirror import days, flag, money, tier, tiers
from tieout.mirror.mirror import Mirror
from tieout.mirror.traffic import Traffic

LEASE = 2.0
"""Seconds for which a node leads before it has to renew that."""

RATE = "30/2s"
SYNC = 24 / 2.2
"""Queries of the plan in a second: what the reserves leave of the rate, a tenth slower for what comes late."""

LONGEST = 90
"""Seconds that a node may live, on a busy machine."""

SETTLING = 60.0
"""Seconds that a copy may take until it is what the supplier says, once a node leads that lives."""

EPOCH = 719_163
"""The first of January 1970, as Python counts days."""

Tell = Callable[[dict[str, Any]], None]


class Places:
    """The files of a play."""

    def __init__(self, folder: Path) -> None:
        self.truth = folder / "truth.json"
        self.log = folder / "log"

    def clear(self) -> None:
        self.log.write_text("")

    def noted(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


class NthPoints(Points):
    """Kills at the n-th time that a point of some name comes: other points may come in another order each time."""

    def __init__(self, deadly: tuple[str, int] | None, tell: Tell) -> None:
        super().__init__(None, tell)
        self.fatal = deadly
        self._times = 0

    def at(self, name: str) -> None:
        super().at(name)
        if self.counting and self.fatal is not None and name == self.fatal[0]:
            self._times += 1
            if self._times == self.fatal[1]:
                self.tell({"killed_at": name})
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Life:
    """How a node's life went."""

    passed: list[str] = field(default_factory=list)
    killed_at: str | None = None
    leads: bool = False
    error: str = ""

    def hear(self, text: str) -> None:
        for line in text.splitlines():
            for name, value in json.loads(line).items():
                setattr(self, name, value)


class Node:
    """An App with a mirror of one supplier."""

    def __init__(self, name: str, url: str, places: Places, points: Points) -> None:
        self.truth = Truth.read(places.truth)
        self.points = points
        self.places = places
        self.log = Log(places.log)
        self.database = DeadlyDatabase(connect(url), points)
        self.app = App(url, database=self.database, sweep=False, migrate=False)
        rarely = tiers(all=tier(days(DAYS), every="1d"))
        fields = {"price": money(), "open": flag()}
        self.rooms: Mirror = self.app.mirror("rooms", axis=days(DAYS), fields=fields, policy=rarely)
        self.rooms.supplier(
            "acme",
            RATE,
            concurrency=2,
            zone=self.truth.zone,
            timeout="500ms",
            order_patience="30s",
            order_timeout="30s",
            skew="1ms",
            audits=0,
        )(Hotels(name, self.truth, self.log, points))
        self.name = name
        self.leads = False
        self.leases = self.rooms.following("acme").world.leases

    async def play(self, story: Story, over: Callable[[], Awaitable[None]] | None, tell: Tell) -> None:
        """Follow the supplier, do what the story says, and wait until the copy is what the supplier says.

        With `over`, only what nobody has done when that returns is done.
        """
        async with self.app:
            self.log.note("born", node=self.name, holder=self.leases.holder)
            self._watch_lease(tell)
            self.points.counting = True
            world = self.rooms.following("acme").world
            self.rooms.follow(Traffic(world.database, world.clock, self.app.limits.queries))
            if over is not None:
                await over()
                await self._lead()
            done = {one["act"] for one in self.places.noted() if one["what"] == "done"}
            for name, act in story.acts.items():
                if name not in done:
                    self.points.at(f"before {name}")
                    await act(self.rooms, self.truth)
                    self.log.note("done", act=name, node=self.name)
                    self.points.at(f"after {name}")
            await self._settle()
            self.log.note("settled", node=self.name)
            tell({"passed": self.points.passed})
            # What would be closed now is left open: the other node takes over as from one that has died.
            os._exit(0)

    async def _lead(self) -> None:
        """Wait until this node leads."""
        async with asyncio.timeout(SETTLING):
            while not self.leads:  # noqa: ASYNC110 - a lease tells nobody
                await asyncio.sleep(0.02)

    def _watch_lease(self, tell: Tell) -> None:
        """Note when the lease is taken, and until when it is surely held."""
        take, renew = self.leases.take, self.leases.renew

        async def taking(name: str) -> Any:
            began = time.time_ns() // 1_000
            lease = await take(name)
            if lease is not None and name.startswith("mirror/"):
                self.leads = True
                now, until = time.time_ns() // 1_000, began + round(LEASE * 1_000_000)
                self.log.note("leads", node=self.name, fence=lease.fence, server=now, until=until)
                tell({"leads": True})
            return lease

        async def renewing(lease: Any) -> Any:
            began = time.time_ns() // 1_000
            renewed = await renew(lease)
            self.log.note("holds", node=self.name, until=began + round(LEASE * 1_000_000))
            return renewed

        self.leases.take = taking  # type: ignore[method-assign]  # watched, not changed
        self.leases.renew = renewing  # type: ignore[method-assign]  # watched, not changed

    async def _settle(self) -> None:
        end, wrong = time.monotonic() + SETTLING, ["nothing was looked at"]
        while time.monotonic() < end:
            wrong = await self._wrong()
            if not wrong:
                return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"the copy is not what the supplier says: {wrong[:5]}")

    async def _wrong(self) -> list[str]:
        async def look(tx: Any) -> list[Any]:
            return [[tuple(row) for row in await tx.fetch(sql)] for sql in (ITEMS, SUSPECTS, DOUBTS, MAIL)]

        items, suspects, doubts, mail = await self.database.inner.read(look)
        wrong = [f"{len(suspects)} suspects"] * bool(suspects) + [f"{len(doubts)} doubts"] * bool(doubts)
        wrong += ["mail"] * bool(mail[0][0])
        return wrong + differences(self.truth, items)


def differences(truth: Truth, items: list[Any]) -> list[str]:
    """Where a copy is not what the supplier says."""
    copy = copy_of(items)
    groups = {item: group for group, rooms in truth.groups.items() for item in rooms}
    wrong = [f"{item} is there" for item in copy.keys() - groups.keys()] + [
        f"{item} is not there" for item in groups.keys() - copy.keys()
    ]
    for item in groups.keys() & copy.keys():
        for day in truth.days_of(groups[item]):
            cell, said = copy[item].get(day.toordinal() - EPOCH), truth.night(item, day)
            kept = None if cell is None else (cell.price, cell.open)
            if kept != said:
                wrong.append(f"{item} on day {(day - truth.today).days} is {kept}, and was {said}")
    return wrong


def hurry() -> None:
    """Let leases and pauses be short, so that a play is."""
    tieout.mirror.mirror.LEASE = LEASE
    tieout.mirror.leading.FIRST_PAUSE = tieout.mirror.asking.FIRST_PAUSE = 0.2
    tieout.mirror.leading.LOOK_EVERY = 0.2
    tieout.mirror.leading.PUBLISH_EVERY = 0.05


class Child:
    """A forked node, and what it has told so far."""

    def __init__(self, run: Callable[[Tell, int], None]) -> None:
        reading, writing = os.pipe()
        self._hears, self._over = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _be(writing, lambda tell: run(tell, self._hears))
        os.close(writing)
        self._pipe = os.fdopen(reading, encoding="utf-8")
        self.life = Life()

    def until_it_leads(self) -> None:
        """Wait until it holds the lease, or has ended."""
        while not self.life.leads and (line := self._pipe.readline()):
            self.life.hear(line)

    def say_over(self) -> None:
        os.write(self._over, b"x")

    def ended(self) -> Life:
        """Wait for its end."""
        with self._pipe:
            self.life.hear(self._pipe.read())
        _, status = os.waitpid(self.pid, 0)
        os.close(self._hears)
        os.close(self._over)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if was_killed is not (self.life.killed_at is not None) or (status and not was_killed and not self.life.error):
            self.life.error = self.life.error or f"a node ended with {status}"
        return self.life


def live(name: str, url: str, places: Places, story: Story, *, deadly: tuple[str, int] | None, waits: bool) -> Child:
    """A node that plays a story in a child; it may have to wait until it is told that the other one is over."""

    def run(tell: Tell, hears: int) -> None:
        hurry()
        node = Node(name, url, places, NthPoints(deadly, tell))

        async def over() -> None:
            await asyncio.to_thread(os.read, hears, 1)

        asyncio.run(node.play(story, over if waits else None, tell))

    return Child(run)


def _be(writing: int, run: Callable[[Tell], None]) -> NoReturn:
    """Be the child, and nothing of its parent's."""

    def tell(what: dict[str, Any]) -> None:
        os.write(writing, f"{json.dumps(what)}\n".encode())

    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.alarm(LONGEST)
        run(tell)
    except BaseException:  # noqa: BLE001 - a child that fails must not go on as its parent
        tell({"error": traceback.format_exc()})
    finally:
        os._exit(1)


def warm_up(url: str, places: Places) -> None:
    """Read every statement, so that no child has to."""
    Truth.plain(1).save(places.truth)
    Node("warm", url, places, Points(None, lambda _: None))
    gc.collect()
    gc.freeze()
