"""Messages from one service to another through a broker that is killed meanwhile, and what came of each."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.channels.cases import NatsCase, RabbitMQCase
from tieout import App

CASES = {case.name: case for case in (NatsCase, RabbitMQCase)}
PLACE = "traffic"

WRITTEN_AT_A_TIME = 500
MOST_WAITING = 20_000
"""Messages that are written ahead of the relay."""

STUCK_SECONDS = 180.0
"""Nothing has come for so long: what is missing then is lost."""

QUIET_SECONDS = 4.0
"""How long nothing may come at the end, longer than the broker waits until it delivers again."""

REACHED = ("messages", "kills", "delivered again")


@dataclass
class Outcome:
    """What one run came to."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Traffic:
    """One run: a sender with its outbox, a broker, a receiver that notes each message in a table of its own."""

    def __init__(self, name: str, messages: int, kills: int, seed: int, folder: Path) -> None:
        self.case = CASES[name]()
        self.messages = messages
        chance = Random(f"{seed}:{name}")
        self.kills_at = sorted(chance.sample(range(messages // 10, messages * 9 // 10), kills))
        self.file = folder / f"{name}-receiver.db"
        self.sender = App(f"sqlite:///{folder}/{name}-sender.db", channels={"broker": self.case.channel()})
        self.receiver = App(f"sqlite:///{self.file}", channels={"broker": self.case.channel()})
        self.came = 0
        self.seen: set[bytes] = set()
        self.came_last = 0.0
        self.killed = 0

    async def run(self, tell: Callable[[str], None]) -> Outcome:
        """Send all of it, kill the broker meanwhile, wait until nothing comes any more, and look what there is."""
        await asyncio.to_thread(self.case.server.start)
        try:
            await self.case.make(PLACE)
            await asyncio.sleep(self.case.settles)
            self._consume()
            await self.receiver.database.open()
            await self.receiver.database.transact(lambda tx: tx.execute("CREATE TABLE effect (number INTEGER)"))
            await self.receiver.database.close()
            async with self.sender, self.receiver:
                await self._send(tell)
        finally:
            await asyncio.to_thread(self.case.server.remove)
        violations = audit(self.file, self.messages)
        again = self.came - self.messages
        counts = Counter({"messages": self.messages, "kills": self.killed, "delivered again": max(again, 0)})
        counts[f"messages through {self.case.name}"] = self.messages
        counts[f"kills of {self.case.name}"] = self.killed
        return Outcome(counts, [f"{self.case.name}: {text}" for text in violations])

    def _consume(self) -> None:
        async def note(tx, message):
            await tx.execute("INSERT INTO effect VALUES (:number)", number=int(message.body))

        self.receiver.consume(f"broker/{self.case.topic(PLACE)}")(note)
        (taking,) = self.receiver.consuming.sources.values()
        effect = taking.effect

        async def counted(message, first):
            await effect(message, first)
            self.came, self.came_last = self.came + 1, time.monotonic()
            self.seen.add(message.body)

        taking.effect = counted

    async def _send(self, tell: Callable[[str], None]) -> None:
        self.came_last = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._kill())
            group.create_task(self._watch(tell))

    async def _write(self) -> None:
        address = f"broker/{self.case.topic(PLACE)}"
        for first in range(0, self.messages, WRITTEN_AT_A_TIME):
            while first - self.came > MOST_WAITING:  # noqa: ASYNC110 - deliveries tell nobody
                await asyncio.sleep(0.05)

            async def write(tx, first=first):
                for number in range(first, min(first + WRITTEN_AT_A_TIME, self.messages)):
                    await self.sender.outbox.add(tx, address, b"%d" % number)

            await self.sender.database.transact(write)

    async def _kill(self) -> None:
        for moment in self.kills_at:
            while self.came < moment:  # noqa: ASYNC110 - deliveries tell nobody
                await asyncio.sleep(0.002)
            await asyncio.to_thread(self.case.server.kill)
            self.killed += 1
            await asyncio.to_thread(self.case.server.start)

    async def _watch(self, tell: Callable[[str], None]) -> None:
        began = told = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            if now - told > 5:
                told = now
                line = f"{self.came} of {self.messages} have come, {self.killed} kills, {now - began:.0f} s"
                tell(f"{self.case.name}: {line}")
            quiet = now - self.came_last
            if quiet > (QUIET_SECONDS if self._all_came() else STUCK_SECONDS):
                return

    def _all_came(self) -> bool:
        return len(self.seen) == self.messages and self.killed == len(self.kills_at)


def audit(file: Path, messages: int) -> list[str]:
    """What is wrong with the effects of so many messages: none, several, or one of a message that was not sent."""
    with sqlite3.connect(file) as database:
        rows = dict(database.execute("SELECT number, count(*) FROM effect GROUP BY number").fetchall())
        letters = database.execute("SELECT count(*) FROM tieout_letter").fetchone()[0]
    database.close()
    wrong = [f"message {number} has no effect" for number in range(messages) if number not in rows]
    wrong += [f"message {number} has {count} effects" for number, count in rows.items() if count > 1]
    wrong += [f"message {number} was never sent" for number in rows if not 0 <= number < messages]
    return wrong + ([f"{letters} messages could not be taken in"] if letters else [])
