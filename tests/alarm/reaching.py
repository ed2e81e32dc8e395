"""Alarms told to every kind of receiver, which fail, go away and come back; and what each was told in the end."""

from __future__ import annotations

import asyncio
import email
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from tests.alarm.receivers import KEY, LOOPBACK, SECRET, Hooks, Post
from tests.messages.shelf import make_due
from tieout.alarm.engine import Alarms
from tieout.alarm.notify.notifying import Notifying
from tieout.alarm.notify.routing import AlarmSettings, Route
from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmStore
from tieout.audit.store import AuditStore
from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.eventloop import LoopCaller, LoopClock

STORY = ("opened", "acknowledged", "owned", "resolved", "reopened")
"""What happens to each alarm: no word comes twice, so that a repetition cannot pass for what follows."""

AT_A_TIME = 50
"""Alarms that live through their stories together."""

MOST_WAITING = 5_000
"""Deliveries that wait while more happens."""

STUCK_SECONDS = 180.0
"""Nothing was delivered for so long: what is missing then is lost."""

AWAY_SECONDS = 0.3
"""How long a receiver is away: several tries of the relay."""

FAILURES: dict[str, tuple[Any, ...]] = {
    "webhook": (500, 429, 302, "drop", "forget"),
    "robot": (500, 429, "refuse", "drop", "forget"),
    "slack": (500, 429, "drop", "forget"),
    "email": ("451 later", "554 no", "drop", "forget"),
}

SHARE = {"webhook": 0.1, "robot": 0.5, "slack": 0.5, "email": 0.5}
"""Of requests that fail: people are told many alarms with one, so that there are fewer of them."""

ANN = {"actor": "ann", "reason": "as agreed"}

TOLD = re.compile(r"\[serious\] step-failing (\w+): (p-\d+)")


@dataclass
class Outcome:
    """What one run came to."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Moods(list[Any]):
    """What the next requests meet: chance says whether they fail, and every way to fail has its turn."""

    def __init__(self, kind: str, chance: Random, struck: Counter[str]) -> None:
        super().__init__()
        self.kind = kind
        self.chance = chance
        self.struck = struck
        self.failures = cycle(FAILURES[kind])

    def __bool__(self) -> bool:
        return True

    def pop(self, _: Any = 0) -> Any:
        """The mood of the request that has just come."""
        if self.chance.random() >= SHARE[self.kind]:
            return None
        mood = next(self.failures)
        self.struck[f"{self.kind} {mood}"] += 1
        return mood


class Reaching:
    """One run: nodes that tell, receivers of all kinds, and alarms that live through their stories."""

    def __init__(self, alarms: int, outages: int, handovers: int, seed: int, folder: Path) -> None:
        self.objects = [f"p-{number}" for number in range(alarms)]
        self.database = connect(f"sqlite:///{folder}/alarms.db")
        self.alarms = Alarms(self.database, AlarmStore("sqlite"), AuditStore("sqlite"))
        self.chance = Random(seed)
        self.counts: Counter[str] = Counter()
        self.receivers: dict[str, Any] = {name: Hooks() for name in ("webhook", "dingtalk", "feishu", "wecom", "slack")}
        self.receivers["email"] = Post()
        self.outages, self.handovers = outages, handovers
        self.written = 0
        self._node: Notifying | None = None
        self._caller = LoopCaller()

    async def run(self, tell: Callable[[str], None]) -> Outcome:
        """Let it all happen, wait until nothing waits to be sent, and look what was received."""
        for name, one in self.receivers.items():
            kind = {"dingtalk": "robot", "feishu": "robot", "wecom": "robot"}.get(name, name)
            one.moods = Moods(kind, self.chance, self.counts)
            await one.start()
        await self.database.open()
        await migrate(self.database)
        try:
            with hurried():
                self._node = await self._new_node()
                async with asyncio.TaskGroup() as group:
                    others = [group.create_task(work) for work in (self._go_away(), self._hand_over())]
                    await self._happen(tell)
                    for one in others:
                        await one
                await self._settle(tell)
        finally:
            if self._node is not None:
                await self._node.close()
            await self._caller.close()
            await self.database.close()
            for one in self.receivers.values():
                await one.stop()
        return self._outcome()

    async def _new_node(self) -> Notifying:
        settings = AlarmSettings(routes=self._routes())
        node = Notifying(settings, self.database, LoopClock(), self._caller, self.chance)
        await node.start()
        return node

    def _routes(self) -> dict[str, Route]:
        shared: Any = {"networks": LOOPBACK, "happenings": STORY}
        hook, mail = self.receivers["webhook"], self.receivers["email"]
        people = {"sender": "tieout@example.org", "recipients": ("ann@example.org",)}
        routes = {
            "webhook": Route(to="webhook", url=hook.url("hook"), secret=KEY, **shared),
            "email": Route(to="email", url=f"smtp://127.0.0.1:{mail.port}", **people, **shared),
        }
        robots = {"dingtalk": ("?access_token=t", SECRET), "feishu": ("", SECRET), "wecom": ("?key=k", "")}
        for name, (query, secret) in (robots | {"slack": ("", "")}).items():
            url = self.receivers[name].url(name) + query
            routes[name] = Route(to=name, url=url, secret=secret, **shared)  # type: ignore[arg-type] # one of the kinds
        return routes

    async def _happen(self, tell: Callable[[str], None]) -> None:
        told = time.monotonic()
        for first in range(0, len(self.objects), AT_A_TIME):
            batch = self.objects[first : first + AT_A_TIME]
            for happening in STORY:
                await asyncio.gather(*(self._live(name, happening) for name in batch))
                self.written += len(batch) * len(self.receivers)
            while (waiting := await self._waiting()) > MOST_WAITING:
                await self._let_be_due()
            if time.monotonic() - told > 5:
                told = time.monotonic()
                tell(f"{self.written} written, {waiting} wait")

    async def _live(self, name: str, happening: str) -> None:
        late = NewAlarm("step-failing", name, name, evidence=({"n": happening},))
        match happening:
            case "opened" | "reopened":
                await self.database.transact(lambda tx: self.alarms.store.raise_alarm(tx, late))
            case "acknowledged":
                await self.alarms.acknowledge(late.id, **ANN)
            case "owned":
                await self.alarms.own(late.id, "bob", **ANN)
            case _:
                await self.alarms.resolve(late.id, "accepted", **ANN)

    async def _go_away(self) -> None:
        """Each receiver in turn is gone for a while, at moments spread over the run."""
        names = [name for name in self.receivers for _ in range(self.outages)]
        self.chance.shuffle(names)
        for number, name in enumerate(names, 1):
            await self._until_written(number / (len(names) + 1))
            await self.receivers[name].stop()
            await asyncio.sleep(AWAY_SECONDS)
            await self.receivers[name].start()
            self.counts[f"outages of {name}"] += 1

    async def _hand_over(self) -> None:
        """One node ends, and another goes on."""
        for number in range(1, self.handovers + 1):
            await self._until_written(number / (self.handovers + 1))
            assert self._node is not None
            node, self._node = self._node, None
            await node.close()
            self._node = await self._new_node()
            self.counts["handovers"] += 1

    async def _until_written(self, share: float) -> None:
        wanted = share * len(self.objects) * len(STORY) * len(self.receivers)
        while self.written < wanted:  # noqa: ASYNC110 - what happens tells nobody
            await asyncio.sleep(0.02)

    async def _settle(self, tell: Callable[[str], None]) -> None:
        store, before, ends = self.alarms.store, -1, time.monotonic() + STUCK_SECONDS
        while time.monotonic() < ends:
            waiting = await self._waiting()
            if not (waiting or await self.database.read(lambda tx: store.untold(tx, 1))):
                return
            if waiting != before:
                before, ends = waiting, time.monotonic() + STUCK_SECONDS
                tell(f"{self.written} written, {waiting} wait")
            await self._let_be_due()

    async def _waiting(self) -> int:
        row: Any = await self.database.read(lambda tx: tx.fetch_one("SELECT count(*) FROM tieout_outbox"))
        return int(row[0])

    async def _let_be_due(self) -> None:
        """Let the time pass for which refused messages wait."""
        await make_due(self.database)
        await asyncio.sleep(0.1)

    def _outcome(self) -> Outcome:
        wanted = len(self.objects) * len(STORY)
        counts, violations = self.counts, []
        counts["deliveries"] = wanted * len(self.receivers)
        for name, one in self.receivers.items():
            told = list(tellings(name, one.taken))
            violations += [f"{name}: {text}" for text in audit(self.objects, told)]
            violations += [f"{name}: wrongly signed: {text}" for text in getattr(one, "wrong", ())]
            received = counted(name, one.taken)
            violations += [f"{name}: {received} of {wanted} were told"] if received < wanted else []
            counts[f"deliveries to {name}"] = wanted
            counts["delivered again"] += received - wanted
            counts[f"requests to {name}"] = len(one.taken)
        return Outcome(counts, violations)


def audit(objects: Sequence[str], told: Sequence[tuple[str, str]]) -> list[str]:
    """What is wrong with what a receiver was told, as (object, happening) in the order in which it came."""
    stories: dict[str, list[str]] = {}
    for name, happening in dict.fromkeys(told):
        stories.setdefault(name, []).append(happening)
    wrong = [f"nobody raised {name}" for name in stories if name not in set(objects)]
    stories |= {name: [] for name in objects if name not in stories}
    wrong += [f"{name} was told as {stories[name]}" for name in objects if stories[name] != list(STORY)]
    return wrong


def tellings(name: str, taken: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """What a receiver was told, as (object, happening)."""
    for one in taken:
        if name == "webhook":
            yield one[1]["data"]["object"], one[1]["data"]["happening"]
        else:
            text = plain(one) if name == "email" else one
            yield from ((match[2], match[1]) for match in TOLD.finditer(text))


def plain(letter: str) -> str:
    """Subject and text of a letter, whose text begins with the subject again when it is of one alarm."""
    message: Any = email.message_from_string(letter, policy=policy.default)
    return str(message.get_content())


def counted(name: str, taken: Sequence[Any]) -> int:
    """How many deliveries these messages are: those that tell of many begin with their number."""
    if name == "webhook":
        return len({number for number, _ in taken})
    texts = (plain(one) if name == "email" else one for one in taken)
    return sum(int(text.split(maxsplit=1)[0]) if text[:1].isdigit() else 1 for text in texts)


@contextmanager
def hurried() -> Iterator[None]:
    """Looks and pauses that nobody need wait for, and messages to people that leave nothing out."""
    with (
        mock.patch("tieout.alarm.notify.notifying.POLL", 0.05),
        mock.patch("tieout.messages.relaying.POLL", 0.05),
        mock.patch("tieout.messages.relaying.LONGEST_PAUSE", 0.2),
        mock.patch("tieout.alarm.notify.routing.DIGEST_LINES", 1_000),
        mock.patch.dict("tieout.wire.robots.LONGEST", wecom=30_000, dingtalk=30_000, feishu=30_000),
    ):
        yield
